"""What a drift callback looks at: the model inside, and its corpora in memory."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from mspgt.callbacks.settings import settings
from mspgt.callbacks.watch import Outcome, Watch
from mspgt.errors import UserError
from mspgt.passes import Alone

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def t() -> Any:
    sys.path.insert(0, str(HERE))
    try:
        return importlib.import_module("drift_training")
    finally:
        sys.path.remove(str(HERE))


def watch(module: Any, data: Any, tokenizer: Any, plugins: str = "cka,attn", labels: Any = None, **keys: Any) -> Watch:
    config = settings(plugins, {"bootstrap": 100, **keys}, ())
    return Watch(config, data, labels, module, None, tokenizer, "cpu", Alone())


def evaluated(watched: Watch) -> Outcome:
    found = watched.evaluate()
    assert found is not None
    return found


def test_the_limit_counts_sentences_and_stands_in_the_manifest(t: Any) -> None:
    watched = watch(t.Training(t.llama()), t.TEXTS, t.TOKENIZER, limit=7)
    assert watched.manifest()["data"]["data"]["limit"] == 7
    assert evaluated(watched).data["sentences"] == 7


def test_ready_batches_need_no_tokenizer(t: Any) -> None:
    rows = torch.randint(5, t.VOCABULARY, (24, 12), generator=torch.Generator().manual_seed(0))
    watched = watch(t.Training(t.llama()), DataLoader(rows, 4), None)
    found = evaluated(watched)
    assert (found.data["documents"], found.data["sequences"], found.data["tokens"]) == (24, 24, 24 * 12)
    assert {*found.evaluation.signals} == {"cka", "attn"}


def test_an_encoder_is_watched_too(t: Any) -> None:
    found = evaluated(watch(t.Training(t.bert(), masked=True), t.TEXTS, t.TOKENIZER))
    assert {*found.evaluation.signals} == {"cka", "attn"}
    assert found.left_out == []


def test_labels_are_read_for_signals_that_need_them_only(t: Any) -> None:
    module = t.Training(t.llama())
    assert [*watch(module, t.TEXTS, t.TOKENIZER, labels="nowhere.conllu").corpora] == ["data"]
    with pytest.raises(UserError, match="no such file"):
        watch(module, t.TEXTS, t.TOKENIZER, "cka,probe", labels="nowhere.conllu")
    watched = watch(module, t.TEXTS, t.TOKENIZER, "cka,probe", labels=t.LABELLED, probe=t.PROBE)
    assert [*watched.corpora] == ["data", "labels"]
    assert evaluated(watched).data["labels_documents"] == len(t.LABELLED)


def test_without_a_tokenizer_texts_cannot_be_read(t: Any) -> None:
    with pytest.raises(UserError, match="tokenizer="):
        watch(t.Training(t.llama()), t.TEXTS, None)


def test_what_is_watched_stays_as_it_was(t: Any) -> None:
    module = t.Training(t.llama())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    drawn = torch.get_rng_state()
    watched = watch(module, t.TEXTS, t.TOKENIZER)
    first, second = evaluated(watched).evaluation, evaluated(watched).evaluation
    assert first.signals == second.signals
    assert first.verdicts == second.verdicts
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert modes == [part.training for part in module.modules()]
    assert torch.equal(drawn, torch.get_rng_state())
