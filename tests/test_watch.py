"""What a drift callback looks at: the model inside, and its corpora in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import drift_training as t
import pytest
import torch
from ranks_in_threads import shared
from torch.utils.data import DataLoader

import mspgt
from mspgt.callbacks.settings import settings
from mspgt.callbacks.watch import Outcome, Watch
from mspgt.contracts.batch import Batch
from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.measure.ranks import Alone, Ranks
from mspgt.results.result import Result


def watch(
    module: Any,
    data: Any,
    tokenizer: Any = t.TOKENIZER,
    plugins: str = "cka,attn",
    labels: Any = None,
    ranks: Ranks | None = None,
    **keys: Any,
) -> Watch:
    config = settings(plugins, {"bootstrap": 100, **keys}, ())
    return Watch(config, data, labels, module, None, tokenizer, "cpu", ranks or Alone())


def small() -> Any:
    """Four blocks in a training."""
    torch.manual_seed(0)
    return t.Training(t.llama(4))


def batches(watched: Watch) -> list[Batch]:
    return [batch for corpus in watched.corpora.values() for batch in corpus]


def evaluated(watched: Watch) -> Outcome:
    found = watched.evaluate()
    assert found is not None
    return found


def test_the_limit_counts_sentences() -> None:
    watched = watch(small(), t.TEXTS, limit=7)
    assert watched.sources["data"].limit == 7
    assert evaluated(watched).data.sentences == 7


def rows_of_ids() -> torch.Tensor:
    return torch.randint(5, t.VOCABULARY, (24, 12), generator=torch.Generator().manual_seed(0))


def test_ready_batches_need_no_tokenizer() -> None:
    found = evaluated(watch(small(), DataLoader(rows_of_ids(), 4), None))
    assert (found.data.documents, found.data.sequences, found.data.tokens) == (24, 24, 24 * 12)
    assert {*found.evaluation.signals} == {"cka", "attn"}


def test_an_encoder_is_watched_too() -> None:
    found = evaluated(watch(t.Training(t.bert(), masked=True), t.TEXTS))
    assert {*found.evaluation.signals} == {"cka", "attn"}
    assert found.left_out == []


def test_labels_are_read_for_signals_that_need_them_only() -> None:
    module = small()
    assert [*watch(module, t.TEXTS, labels="nowhere.conllu").corpora] == ["data"]
    with pytest.raises(UserError, match="no such file"):
        watch(module, t.TEXTS, plugins="cka,probe", labels="nowhere.conllu")
    watched = watch(module, t.TEXTS, plugins="cka,probe", labels=t.LABELLED, probe=t.PROBE)
    assert [*watched.corpora] == ["data", "labels"]
    assert evaluated(watched).data.labels_documents == len(t.LABELLED)


@pytest.mark.parametrize(
    "given",
    [
        {"plugins": "cka,probe,attn", "labels": t.LABELLED, "probe": t.PROBE},
        {"context": "sentence", "batch_tokens": 200, "cka": {"estimator": "biased"}, "weights": {"cka": 0.7}},
        {"limit": 21, "max_length": 16, "prominence": 0.2, "seed": 3},
    ],
    ids=["labels", "context", "limit"],
)
def test_what_is_found_is_what_a_run_finds(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Result, "save", lambda self, folder: folder)  # figures take longer than all else
    module = small()
    found = evaluated(watch(module, t.TEXTS, **given))
    keys = {"plugins": "cka,attn", "bootstrap": 100, "data": t.TEXTS, "accelerator": "cpu"} | given
    run = mspgt.run(model=module.model, tokenizer=t.TOKENIZER, out=tmp_path / "run", **keys)
    assert plain(run.signals) == plain(found.evaluation.signals)
    assert plain(run.verdicts) == plain(found.evaluation.verdicts)
    assert (run.data, run.bootstrap) == (found.data, found.evaluation.bootstrap)
    assert [*run.left_out] == found.left_out


def test_ready_batches_and_texts_stand_side_by_side() -> None:
    watched = watch(small(), [rows_of_ids()], plugins="cka,probe", labels=t.LABELLED, probe=t.PROBE)
    found = evaluated(watched)
    assert (found.data.sequences, found.data.labels_documents) == (24, len(t.LABELLED))
    assert {*found.evaluation.signals} == {"cka", "probe"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (torch.full((3, 4), t.VOCABULARY), r"the model knows 0 to 299"),
        (torch.full((3, 200), 5), r"only 128 fit into the model"),
    ],
)
def test_ready_batches_of_another_model_are_refused(rows: torch.Tensor, said: str) -> None:
    with pytest.raises(UserError, match=said):
        watch(small(), [rows], None)


def test_batches_are_held_in_main_memory() -> None:
    held = [*batches(watch(small(), t.TEXTS, batch_tokens=60)), *batches(watch(small(), [rows_of_ids()]))]
    assert len(held) > 4
    assert {batch.input_ids.device.type for batch in held} == {"cpu"}


def test_labels_are_held_where_a_signal_needs_them_only() -> None:
    given: dict[str, Any] = {"plugins": "cka,probe", "probe": t.PROBE}
    assert not any(batch.labels for batch in batches(watch(small(), t.LABELLED)))
    assert all(batch.labels for batch in batches(watch(small(), t.LABELLED, **given)))
    beside = watch(small(), t.LABELLED, labels=t.LABELLED, **given)
    assert not any(batch.labels for batch in beside.corpora["data"])
    assert all(batch.labels for batch in beside.corpora["labels"])


@pytest.mark.parametrize("name", ["data", "labels"])
def test_a_corpus_of_which_nothing_can_be_read_is_refused_with_the_reason(name: str) -> None:
    long = {name: [" ".join(t.TEXTS[0].split(".")[0].split() * 40)]}
    with pytest.raises(UserError, match=rf"^{name}= holds nothing that can be read: .* longer than max_length=128 "):
        watch(small(), **{"data": t.TEXTS} | long, plugins="cka,probe", probe=t.PROBE)


def test_without_a_tokenizer_texts_cannot_be_read() -> None:
    with pytest.raises(UserError, match="tokenizer="):
        watch(small(), t.TEXTS, None)


def count_hooks(module: Any) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_what_is_watched_stays_as_it_was() -> None:
    module = small()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    attention, hooks = module.model.config._attn_implementation, count_hooks(module)
    drawn = torch.get_rng_state()
    watched = watch(module, t.TEXTS)
    first, second = evaluated(watched).evaluation, evaluated(watched).evaluation
    assert plain(first.signals) == plain(second.signals)
    assert plain(first.verdicts) == plain(second.verdicts)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert modes == [part.training for part in module.modules()]
    assert torch.equal(drawn, torch.get_rng_state())
    assert (module.model.config._attn_implementation, count_hooks(module)) == (attention, hooks)


# ---------------------------------------------------------------------- shared among ranks


def said(answers: list[Any]) -> str:
    """What all ranks raised."""
    assert {type(answer) for answer in answers} == {UserError}, answers
    (sentence,) = {str(answer) for answer in answers}
    return sentence


def test_the_first_rank_has_the_outcome_and_it_is_that_of_one_process() -> None:
    answers = shared(3, lambda ranks: watch(small(), t.TEXTS, batch_tokens=60, ranks=ranks).evaluate())
    assert answers[1:] == [None, None]
    alone = evaluated(watch(small(), t.TEXTS, batch_tokens=60))
    assert plain(answers[0].evaluation.signals) == plain(alone.evaluation.signals)
    assert answers[0].data == alone.data


@pytest.mark.parametrize("missing", [0, 1])
def test_what_one_rank_cannot_read_is_told_by_all(missing: int) -> None:
    def begin(ranks: Any) -> Watch:
        return watch(small(), "nowhere.txt" if ranks.rank == missing else t.TEXTS, ranks=ranks)

    assert "there is no such file" in said(shared(2, begin))


class Faulty:
    """A corpus that cannot be read, by no fault of the user's."""

    def __iter__(self) -> Iterator[Any]:
        raise KeyError("text")


def test_a_fault_that_is_no_users_is_told_by_all_with_its_kind() -> None:
    def begin(ranks: Any) -> Watch:
        return watch(small(), Faulty() if ranks.rank == 1 else t.TEXTS, ranks=ranks)

    assert said(shared(2, begin)) == "KeyError: 'text'"


def other_text(read: list[Any]) -> list[Any]:
    return [*read[:-1], "Something else stands here. It is not the same."]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("data", other_text),
        ("data", lambda read: read[:-1]),
        ("data", lambda read: read[::-1]),
        ("labels", lambda read: read[:-1]),
    ],
)
def test_a_corpus_that_is_not_the_same_on_all_ranks_is_refused_by_all(name: str, change: Any) -> None:
    def begin(ranks: Any) -> Watch:
        corpora = {"data": t.TEXTS, "labels": t.LABELLED}
        if ranks.rank == 2:
            corpora[name] = change(corpora[name])
        return watch(small(), **corpora, plugins="cka,probe", probe=t.PROBE, ranks=ranks)

    sentence = said(shared(3, begin))
    assert sentence.startswith(f"{name}= gives other batches on rank 2 than on rank 0: give every rank the same corpus")


def test_labels_alone_make_a_corpus_another() -> None:
    read = batches(watch(small(), t.LABELLED, plugins="probe", probe=t.PROBE))

    def begin(ranks: Any) -> Watch:
        labels = {task: replace(of, word=of.word + ranks.rank) for task, of in read[0].labels.items()}
        return watch(small(), [replace(read[0], labels=labels), *read[1:]], None, "probe", probe=t.PROBE, ranks=ranks)

    assert "data= gives other batches on rank 1" in said(shared(2, begin))


def test_what_the_first_rank_cannot_evaluate_is_told_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that raises on another rank is left out; there is no other that could be evaluated."""

    def evaluate(ranks: Any) -> Outcome | None:
        watched = watch(small(), t.TEXTS, plugins="attn", batch_tokens=60, ranks=ranks)
        if ranks.rank == 1:
            monkeypatch.setattr(watched.homes.signals["attn"], "recorder", lambda *_: 1 / 0)
        return watched.evaluate()

    sentence = said(shared(2, evaluate))
    assert sentence.startswith("no signal is left to evaluate. plugin 'attn' raised while it observed a batch (ZeroDiv")
