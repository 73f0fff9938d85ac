"""`BoundaryDrift` in real trainings: what it finds, where it shows it, and what happens when something goes wrong."""

from __future__ import annotations

import csv
import io
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drift_training as t
import lightning as L
import pytest
import torch
from example_drift import example_drift
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

import mspgt
from mspgt.callbacks import BoundaryDrift
from mspgt.callbacks.loggers import in_brief, scalars
from mspgt.config.run import RunConfig
from mspgt.contracts import registry
from mspgt.core.codec import plain
from mspgt.core.errors import UserError
from mspgt.plugins.signals.attention.attention import AttentionDrift
from mspgt.plugins.signals.cka.cka import CKA
from mspgt.results.drift import Drift
from mspgt.results.result import Result

draw = Drift.save


def without_figures(drift: Drift, folder: Path) -> Path:
    """Stands in for `Drift.save`: figures take longer than all else."""
    (drift.save_data(folder) / "report.html").touch()
    return folder


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lightning leaves Ctrl-C ignored, and its seed in the environment."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    monkeypatch.setattr(Drift, "save", without_figures)
    handler = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started without one
    yield
    signal.signal(signal.SIGINT, handler)


def short() -> L.LightningModule:
    return t.Training(t.llama(4))


def short_and_deep() -> L.LightningModule:
    return t.Training(t.llama())


def at(drift: Drift | None) -> list[int]:
    return [] if drift is None else [point.step for point in drift.points]


# ------------------------------------------------------------------------------------ the same as `mspgt run`


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
@pytest.mark.parametrize(
    ("module", "given", "precision"),
    [
        (short_and_deep, {}, "32-true"),
        (short, {}, "bf16-mixed"),
        (short, {}, "bf16-true"),
        (lambda: t.Training(t.bert(4), masked=True), {"context": "sentence", "max_length": 16}, "32-true"),
        (short, {"batch_tokens": 64, "seed": 3, "bootstrap": 130, "limit": 18}, "32-true"),
        (
            short,
            {"plugins": "cka,probe,attn", "data": t.LABELLED, "probe": t.PROBE, "weights": {"cka": 0.4}},
            "32-true",
        ),
        (
            short,
            {"plugins": ["cka", "probe"], "labels": t.LABELLED, "probe": t.PROBE, "cka": {"estimator": "biased"}},
            "32-true",
        ),
    ],
    ids=[
        "12 blocks",
        "bf16-mixed",
        "bf16-true",
        "encoder",
        "reading and bootstrap",
        "probe, weights",
        "labels, options",
    ],
)
def test_the_last_point_is_what_mspgt_run_says_of_the_trained_model(
    module: Callable[[], L.LightningModule],
    given: dict[str, Any],
    precision: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Result, "save", lambda result, folder: folder)
    drift = t.boundary_drift(**given)
    _, trainer = t.train(tmp_path, drift, module=module, steps=4, precision=precision)
    model = trainer.lightning_module.model
    model.train()
    keys = {"data": t.TEXTS, "bootstrap": 100, "plugins": "cka,attn"} | given
    result = mspgt.run(model=model, tokenizer=t.TOKENIZER, accelerator="cpu", **keys)
    point = drift.drift.points[-1]
    assert point.step == 4
    for name, curve in result.signals.items():
        small = {key: value for key, value in curve.details.items() if not isinstance(value, (list, dict))}
        assert plain(point.signals[name]) == plain(replace(curve, details=small, series={}, figures=()))
    for rule, verdict in result.verdicts.items():
        assert plain(point.verdicts[rule]) == plain(replace(verdict, resampled=None))
    assert (drift.drift.data, drift.drift.bootstrap) == (result.data, result.bootstrap)
    assert drift.drift.model == result.model


# ------------------------------------------------------------------------------------ when, and the loss beside it


def test_points_are_due_at_the_start_at_every_interval_and_at_the_end(tmp_path: Path) -> None:
    drift = t.boundary_drift()
    seen, _ = t.train(tmp_path, drift, module=short, steps=7)
    assert at(drift.drift) == [0, 3, 6, 7]
    assert [point.end for point in drift.drift.points] == [False, False, False, True]
    losses = [float(row["train_loss_step"]) for row in seen.logged[0] if "train_loss_step" in row]
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 3), (3, 6), (6, 7))]
    assert [point.loss for point in drift.drift.points[1:]] == pytest.approx(means)
    assert drift.drift.as_dict()["points"][0]["loss"] is None


def test_with_accumulated_gradients_steps_and_losses_are_those_of_the_optimizer(tmp_path: Path) -> None:
    drift = t.boundary_drift(every_n_steps=1)
    module = short_losses()
    t.train(tmp_path, drift, module=lambda: module, steps=3, accumulate_grad_batches=3)
    assert at(drift.drift) == [0, 1, 2, 3]
    means = [sum(module.losses[i : i + 3]) / 3 for i in (0, 3, 6)]
    assert [point.loss for point in drift.drift.points[1:]] == pytest.approx(means)


def short_losses(**returned: Any) -> Any:
    class Noted(t.Training):
        losses: list[float] = []  # noqa: RUF012

        def training_step(self, batch: Any, index: int) -> Any:
            loss = super().training_step(batch, index)
            self.losses.append(float(loss.detach()))
            return {"loss": loss, "other": 1}

    module = Noted(t.llama(4))
    module.losses = []
    return module


class Silent(t.ByHand):  # type: ignore[misc, name-defined]
    """Returns no loss, and logs one."""

    def training_step(self, batch: Any, index: int) -> None:
        super().training_step(batch, index)
        self.log("loss", float(index))


def test_a_logged_metric_stands_in_where_no_loss_is_returned(tmp_path: Path) -> None:
    drift = t.boundary_drift(every_n_steps=4)
    t.train(tmp_path, drift, module=lambda: Silent(t.llama(4)), steps=8)
    assert [point.loss for point in drift.drift.points[1:]] == [1.0, 3.0]


def test_a_metric_can_be_chosen(tmp_path: Path) -> None:
    drift = t.boundary_drift(loss="val_loss")
    seen, _ = t.train(tmp_path, drift, module=short, steps=6, validate=True, val_check_interval=2)
    validated = {int(row["step"]): float(row["val_loss"]) for row in seen.logged[0] if "val_loss" in row}
    assert [point.loss for point in drift.drift.points[1:]] == pytest.approx([validated[1], validated[3]])


def test_a_chosen_metric_that_is_never_logged_is_told(tmp_path: Path) -> None:
    drift = t.boundary_drift(loss="val_los")
    with pytest.warns(UserWarning, match=r"no metric 'val_los' was logged .* logged were: .*train_loss"):
        t.train(tmp_path, drift, module=short, steps=1)


def test_steps_between_evaluations_cost_next_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Trainer asks around every hook of every step who is called."""

    class NoMoreLooking(L.Callback):
        def on_train_start(self, *_: Any) -> None:
            monkeypatch.setattr(registry, "plugins", None)
            monkeypatch.setattr(RunConfig, "as_dict", None)

    drift = t.boundary_drift(every_n_steps=100)
    t.train(tmp_path, drift, NoMoreLooking(), module=short, steps=3)
    assert at(drift.drift) == [0, 3]
    assert drift.drift.left_out == ()


# ------------------------------------------------------------------------------------ files


class Watcher(L.Callback):
    """Reads what lies in a folder after each batch."""

    def __init__(self, folder: Path, drift: BoundaryDrift) -> None:
        self.folder, self.drift = folder, drift
        self.files: list[list[int]] = []
        self.objects: list[list[int]] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.files.append(at(mspgt.load(self.folder)))
        self.objects.append(at(self.drift.drift))


def test_files_are_written_at_every_evaluation_and_the_page_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Drift, "save", draw)
    drift = t.boundary_drift(every_n_steps=2, out=tmp_path / "out")
    assert drift.drift is None
    watcher = Watcher(tmp_path / "out", drift)
    t.train(tmp_path, drift, watcher, module=short, steps=3)
    assert watcher.files == watcher.objects == [[0], [0, 2], [0, 2]]
    assert isinstance(drift.drift, Drift)
    assert at(drift.drift) == [0, 2, 3]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"drift.json", "drift.csv", "boundaries.csv", "figures", "report.html"}
    assert t.numbers(mspgt.load(tmp_path / "out")) == t.numbers(drift.drift)
    with open(tmp_path / "out" / "drift.csv", encoding="utf-8") as file:
        assert {int(row["step"]) for row in csv.DictReader(file)} == {0, 2, 3}


def test_what_was_set_and_what_it_took_stand_in_the_file(tmp_path: Path) -> None:
    drift = t.boundary_drift(max_overhead=0.9, cka={"estimator": "biased"})
    t.train(tmp_path, drift, module=short, steps=1)
    data = drift.drift.as_dict()
    assert {"every_n_steps": 3, "max_overhead": 0.9, "plugins": ["cka", "attn"], "data": "<list>"}.items() <= data[
        "settings"
    ].items()
    assert data["settings"]["cka"]["estimator"] == "biased"
    assert 0 < data["overhead"]["share"] <= 1
    assert data["overhead"]["every_n_steps"] == 3
    assert data["provenance"]["data_sha256"].keys() == {"data"}
    assert data["prediction_3_2"] is None


def test_another_drift_and_other_files_are_never_overwritten(tmp_path: Path) -> None:
    for number, damaged in enumerate(("{", '{"points": 3}')):
        folder = tmp_path / f"out{'' if number == 0 else f'-{number + 1}'}"
        folder.mkdir()
        (folder / "drift.json").write_text(damaged)
    for _ in range(2):
        t.train(tmp_path, t.boundary_drift(out=str(tmp_path / "out")), module=short, steps=1)
    assert (tmp_path / "out" / "drift.json").read_text() == "{"
    assert (tmp_path / "out-2" / "drift.json").read_text() == '{"points": 3}'
    for name in ("out-3", "out-4"):
        assert at(mspgt.load(tmp_path / name)) == [0, 1]


# ------------------------------------------------------------------------------------ loggers and bars


def test_loggers_are_given_the_scalars_that_are_documented(tmp_path: Path) -> None:
    loggers = [CSVLogger(tmp_path / "csv"), TensorBoardLogger(tmp_path / "board")]
    drift = t.boundary_drift(figures=True)
    t.train(tmp_path, drift, module=short_and_deep, steps=4, logger=loggers)
    expected = {point.step: scalars(point) for point in drift.drift.points}
    names = {name for values in expected.values() for name in values}
    documented = ("li", "li_relative", "li_ci_width", "accepted", "status", "max/cka", "max/attn")
    assert {f"mspgt/{name}" for name in documented} <= names
    rows = t.rows_of(loggers[0], ours=True)
    found = {int(row["step"]): {name: float(row[name]) for name in row if name != "step"} for row in rows}
    assert list(t.differences(found, expected)) == []

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(loggers[1].log_dir))
    board.Reload()
    for name in names:
        there = {event.step: event.value for event in board.Scalars(name)}
        assert there == pytest.approx({step: values[name] for step, values in expected.items() if name in values})
    assert [event.step for event in board.Images("mspgt/drift")] == [0, 3, 4]
    assert board.Images("mspgt/drift")[0].encoded_image_string.startswith(b"\x89PNG")


class Images(Logger):
    """Takes metrics and images, as Weights & Biases' logger does."""

    name, version, experiment = "images", 0, SimpleNamespace()

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Any] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...

    def log_hyperparams(self, *_: Any, **__: Any) -> None: ...

    def log_image(self, key: str, images: list[Any], step: int | None = None) -> None:
        self.taken.append((key, step, [type(image).__name__ for image in images]))


def test_figures_go_to_loggers_that_take_images_only_if_asked_for(tmp_path: Path) -> None:
    for figures in (False, True):
        logger = Images()
        t.train(tmp_path, t.boundary_drift(figures=figures), module=short, steps=1, logger=[logger])
        assert logger.taken == [("mspgt/drift", step, ["Figure"]) for step in (0, 1) if figures]


def test_two_callbacks_log_under_names_of_their_own(tmp_path: Path) -> None:
    pair = [t.boundary_drift(), t.boundary_drift(name="reversed", data=t.TEXTS[::-1])]
    bar = TQDMProgressBar()
    said: list[Any] = []

    class Look(L.Callback):
        def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
            said.append(bar.get_metrics(trainer, module))

    _, trainer = t.train(tmp_path, *pair, Look(), bar, module=short, steps=1, enable_progress_bar=True)
    with open(Path(trainer.logger.log_dir) / "metrics.csv", encoding="utf-8") as file:
        columns = next(csv.reader(file))
    assert {"mspgt/status", "reversed/status"} <= set(columns)
    assert {"mspgt", "reversed"} <= said[0].keys()
    assert "get_metrics" not in vars(bar)


def test_callbacks_that_loggers_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    pair = [t.boundary_drift(), t.boundary_drift(every_n_steps=2)]
    with pytest.raises(UserError, match=r"called 'mspgt': give each a name="):
        t.train(tmp_path, *pair, module=short, steps=1)


@pytest.mark.parametrize("kind", ["tqdm", "rich"])
def test_progress_bars_show_the_verdict_and_are_left_as_they_were(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = io.StringIO()
    bar: ProgressBar = TQDMProgressBar()
    if kind == "rich":
        bar = RichProgressBar(console_kwargs={"force_terminal": True, "file": shown, "width": 200})
    drift = t.boundary_drift()
    before = vars(bar).keys() - {"get_metrics"}
    t.train(tmp_path, drift, bar, module=short, steps=3, enable_progress_bar=True)
    text = shown.getvalue() + "".join(capsys.readouterr())
    verdict = in_brief(drift.drift.points[0])
    assert verdict.split()[-1] == "too_shallow"
    assert f"mspgt: {verdict}" in text or f"mspgt={verdict}" in text
    assert before <= vars(bar).keys()
    assert "get_metrics" not in vars(bar)


def test_a_bar_that_was_changed_by_somebody_else_stays_changed(tmp_path: Path) -> None:
    bar = TQDMProgressBar()
    bar.get_metrics = lambda *_: {"mine": 1}  # type: ignore[method-assign]
    mine = bar.get_metrics
    t.train(tmp_path, t.boundary_drift(), bar, module=short, steps=1, enable_progress_bar=True)
    assert bar.get_metrics is mine


def test_words_are_few() -> None:
    points = example_drift().points
    assert [in_brief(points[i]) for i in (0, 2, 4, 8)] == ["no_peak", "one_peak", "4|10 unstable", "4|8 ok"]


# ------------------------------------------------------------------------------------ trainings that end early


class Stop(L.Callback):
    """Raises after a step; in front of the drift callback or behind it."""

    def __init__(self, error: type[BaseException], step: int = 4) -> None:
        self.error, self.step = error, step

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise self.error("enough")


@pytest.mark.parametrize(("error", "seen"), [(KeyboardInterrupt, SystemExit), (ZeroDivisionError, ZeroDivisionError)])
@pytest.mark.parametrize("first", [True, False])
def test_what_was_found_before_a_training_broke_off_is_kept(
    error: type[BaseException], seen: type[BaseException], first: bool, tmp_path: Path
) -> None:
    drift, stop, bar = t.boundary_drift(out=tmp_path / "out"), Stop(error), TQDMProgressBar()
    with pytest.raises(seen) as plain:
        t.train(tmp_path, stop, module=short)
    with pytest.raises(seen) as watched:
        t.train(tmp_path, *((stop, drift) if first else (drift, stop)), bar, module=short, enable_progress_bar=True)
    assert watched.value.args == plain.value.args
    assert at(mspgt.load(tmp_path / "out")) == [0, 3]
    assert (tmp_path / "out" / "report.html").exists()
    assert "get_metrics" not in vars(bar)


def test_ctrl_c_during_an_evaluation_leaves_the_model_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, asked = CKA.recorder, []

    def interrupted(*given: Any) -> Any:
        asked.append(given)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return original(*given)

    module, drift = short(), t.boundary_drift(out=tmp_path / "out")
    before = {name: part.training for name, part in module.named_modules()}
    monkeypatch.setattr(CKA, "recorder", interrupted)
    with pytest.raises(SystemExit):
        t.train(tmp_path, drift, module=lambda: module)
    assert at(mspgt.load(tmp_path / "out")) == [0]
    assert {name: part.training for name, part in module.named_modules()} == before
    assert module.model.config._attn_implementation == "sdpa"
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize(
    ("how", "steps"),
    [
        ({"fast_dev_run": True}, [0, 1]),
        ({"fast_dev_run": 4}, [0, 3, 4]),
        ({"limit_train_batches": 0}, []),
        ({"steps": 0}, []),
        ({"logger": False}, [0, 3, 6, 7]),
        ({"steps": -1, "max_epochs": 1, "batches": {"batches": 2}}, [0, 2]),
        ({"barebones": True, "logger": None, "log_every_n_steps": 0}, [0, 3, 6, 7]),
    ],
    ids=str,
)
def test_trainers_of_all_kinds(how: dict[str, Any], steps: list[int], tmp_path: Path) -> None:
    drift = t.boundary_drift(out=tmp_path / "out", figures=True)
    if "barebones" in how:
        how = how | {"enable_progress_bar": None, "enable_model_summary": None, "enable_checkpointing": None}
    t.train(tmp_path, drift, module=short, **how)
    assert at(drift.drift) == steps
    assert (tmp_path / "out").exists() == bool(steps)


def test_without_a_logger_files_go_to_the_default_root(tmp_path: Path) -> None:
    t.train(tmp_path, t.boundary_drift(), module=short, steps=1, logger=False)
    assert at(mspgt.load(tmp_path / "drift")) == [0, 1]


def test_a_root_that_is_not_on_this_machine_needs_out(tmp_path: Path) -> None:
    root = "memory://elsewhere"
    with pytest.raises(UserError, match=r"memory://elsewhere is not on this machine: give BoundaryDrift out= too"):
        t.train(tmp_path, t.boundary_drift(), module=short, steps=1, logger=False, default_root_dir=root)
    t.train(
        tmp_path, t.boundary_drift(out=tmp_path / "out"), module=short, steps=1, logger=False, default_root_dir=root
    )
    assert at(mspgt.load(tmp_path / "out")) == [0, 1]


# ------------------------------------------------------------------------------------ evaluations that fail


class FailsFrom(L.Callback):
    """From a step on a method of a signal raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, signal: type, method: str, step: int) -> None:
        self.step, self.now = step, 0
        original = getattr(signal, method)

        def faulty(*arguments: Any, **named: Any) -> Any:
            if self.now >= step:
                raise ValueError("no luck")
            return original(*arguments, **named)

        monkeypatch.setattr(signal, method, faulty)

    def on_before_optimizer_step(self, trainer: L.Trainer, *_: Any) -> None:
        self.now = trainer.global_step + 1


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
@pytest.mark.parametrize("method", ["recorder", "prepare", "curve"])
def test_a_signal_that_raises_is_left_out_of_the_point_and_the_training_goes_on(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = t.train(tmp_path / "plain", module=short, steps=6)
    drift, fails = t.boundary_drift(), FailsFrom(monkeypatch, AttentionDrift, method, 3)
    watched, _ = t.train(tmp_path / "watched", fails, drift, module=short, steps=6)
    assert list(t.differences(plain, watched)) == []
    assert at(drift.drift) == [0, 3, 6]
    assert [set(point.signals) for point in drift.drift.points] == [{"cka", "attn"}, {"cka"}, {"cka"}]
    for point in drift.drift.points[1:]:
        (sentence,) = point.left_out
        assert "attn" in sentence
        assert "no luck" in sentence


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
def test_a_point_at_which_every_signal_raises_is_left_out_and_the_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift, fails = t.boundary_drift(plugins="cka"), FailsFrom(monkeypatch, CKA, "recorder", 3)
    with pytest.warns(
        UserWarning, match=r"boundaries at step 3 was left out: no signal is left to evaluate\..*no luck"
    ):
        seen, _ = t.train(tmp_path, fails, drift, module=short, steps=6)
    assert seen.steps[-1] == 6
    assert at(drift.drift) == [0]
    assert [sentence.partition(":")[0] for sentence in drift.drift.left_out] == [
        "step 3 was left out",
        "step 6 was left out",
    ]
    folder = Path(tmp_path / "lightning_logs" / "version_0" / "drift")
    assert mspgt.load(folder).left_out == drift.drift.left_out


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
def test_a_first_evaluation_that_cannot_be_made_is_told_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift, fails, seen = t.boundary_drift(plugins="cka"), FailsFrom(monkeypatch, CKA, "recorder", 0), t.Seen()
    with pytest.raises(UserError, match=r"boundaries of this training cannot be followed: no signal is left .*no luck"):
        t.train(tmp_path, fails, drift, seen, module=short, steps=1)
    assert seen.batches == []
    assert drift.drift is None


def test_a_signal_that_cannot_be_measured_is_told_at_the_start_and_once(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    drift = t.boundary_drift(plugins="cka,probe", probe=t.PROBE)
    t.train(tmp_path, drift, module=short, steps=4)
    told = [str(warning.message) for warning in recwarn if "boundaries" in str(warning.message)]
    assert len(told) == 1
    assert told[0].startswith("boundaries at step 0: probe was left out:")
    assert [len(point.left_out) for point in drift.drift.points] == [1, 1, 1]


class Poison(L.Callback):
    """Weights become NaN after a step."""

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        if trainer.global_step == 4:
            next(module.model.parameters()).data.fill_(float("nan"))


def test_weights_that_become_nan_are_told_and_the_training_goes_on_as_it_would(tmp_path: Path) -> None:
    plain, _ = t.train(tmp_path / "plain", Poison(), module=short, steps=6)
    drift = t.boundary_drift()
    with pytest.warns(UserWarning, match="step 6 was left out: block 1 gives NaN or infinite activations"):
        watched, _ = t.train(tmp_path / "watched", Poison(), drift, module=short, steps=6)
    assert list(t.differences(plain, watched)) == []
    assert at(drift.drift) == [0, 3]


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
def test_the_loss_after_a_point_that_was_left_out_is_the_mean_since_the_last_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift, module = t.boundary_drift(plugins="cka"), short_losses()
    fails = FailsFrom(monkeypatch, CKA, "recorder", 3)
    fails_until = 4

    class Mend(L.Callback):
        def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
            if trainer.global_step == fails_until:
                monkeypatch.undo()

    t.train(tmp_path, fails, Mend(), drift, module=lambda: module, steps=6)
    assert at(drift.drift) == [0, 6]
    assert drift.drift.points[1].loss == pytest.approx(sum(module.losses) / 6)


class Refuses(CSVLogger):
    """A logger whose server is down."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if any(name.startswith("mspgt/") for name in metrics):
            raise ConnectionError("server down")
        super().log_metrics(metrics, step)


@pytest.mark.filterwarnings("ignore:Refuses did not take")  # which is what the test is about
def test_a_logger_that_fails_takes_neither_the_point_nor_the_training(tmp_path: Path) -> None:
    drift, other = t.boundary_drift(), CSVLogger(tmp_path / "other")
    with pytest.warns(UserWarning, match="Refuses did not take mspgt of step 0: ConnectionError: server down"):
        t.train(tmp_path, drift, module=short, steps=1, logger=[Refuses(tmp_path), other])
    assert at(drift.drift) == [0, 1]
    assert drift.drift.left_out == ()
    assert len(t.rows_of(other, ours=True)) == 2


def test_a_folder_that_cannot_be_written_takes_neither_the_points_nor_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    drift = t.boundary_drift(out=tmp_path / "file")
    with pytest.warns(UserWarning, match="boundary drift could not be written: .*file"):
        seen, _ = t.train(tmp_path, drift, module=short, steps=3)
    assert seen.steps[-1] == 3
    assert at(drift.drift) == [0, 3]


def test_an_exception_of_the_training_is_not_hidden_by_one_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Drift, "save", full)
    with (
        pytest.warns(UserWarning, match="page of the boundary drift could not be written: OSError: disk full"),
        pytest.raises(ZeroDivisionError),
    ):
        t.train(tmp_path, t.boundary_drift(), Stop(ZeroDivisionError), module=short)


# ------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"every_n_steps": 0}, r"every_n_steps=0: give a whole number of optimizer steps, from 1 up\."),
        ({"every_n_steps": "x"}, r"every_n_steps='x': give a whole number"),
        ({"every_n_steps": True}, r"every_n_steps=True: give a whole number"),
        ({"every_n_steps": 2.5}, r"every_n_steps=2.5: give a whole number"),
        ({"max_overhead": 2}, r"max_overhead=2: give a share of the training's time above 0, at most 1\."),
        ({"max_overhead": "much"}, r"max_overhead='much': give a share"),
        ({"max_overhead": 0}, r"max_overhead=0: give a share"),
        ({"every_n_step": 5}, r"unknown argument of BoundaryDrift 'every_n_step'\. Did you mean 'every_n_steps'\?"),
        ({"bootstrp": 5}, r"unknown argument of BoundaryDrift 'bootstrp'\. Did you mean 'bootstrap'\?"),
        ({"device_map": "auto"}, r"unknown argument of BoundaryDrift 'device_map'\."),
        (
            {"probe": {"seeds": 1}},
            r"unknown argument .*'probe'\..* probe is not among the plugins that are asked for\.",
        ),
        ({"cka": {"estimatr": "biased"}}, r"cka\.estimatr.*Did you mean 'cka\.estimator'\?"),
        ({"bootstrap": 5}, r"bootstrap=5"),
        ({"plugins": "cak"}, r"unknown .*'cak'.*Did you mean 'cka'\?"),
        ({"plugins": ""}, r"plugins= names nothing"),
        ({"plugins": ()}, r"plugins= names nothing"),
        ({"plugins": "cka,cka"}, r"names one twice"),
        ({"plugins": None}, r"plugins"),
        ({"name": ""}, r"name='': give a name of letters"),
        ({"name": "a/b"}, r"name='a/b': give a name of letters"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_in_one_sentence_when_the_callback_is_made(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        t.boundary_drift(**given)
    assert "\n" not in str(error.value)


def no_transformer() -> L.LightningModule:
    module = short()
    module.model = torch.nn.Linear(2, 2)
    return module


@pytest.mark.filterwarnings("ignore:boundaries at step")  # which is what the test is about
@pytest.mark.parametrize(
    ("given", "module", "said"),
    [
        ({"data": "nowhere.txt"}, short, "nowhere.txt"),
        ({"data": []}, short, "no sentences|no documents|nothing|empty"),
        ({"data": 7}, short, "int"),
        ({"data": [3]}, short, "item 1 of the list of documents: found int"),
        ({"tokenizer": None}, short, "tokenizer="),
        ({"plugins": "probe", "probe": t.PROBE}, short, "label"),
        ({"model": "modle"}, short, "Did you mean 'model'"),
        ({}, no_transformer, "no Hugging Face model"),
        ({"layers_path": "nowhere"}, short, "nowhere"),
    ],
    ids=[
        "no file",
        "empty",
        "no corpus",
        "no documents",
        "no tokenizer",
        "no labels",
        "no path",
        "no model",
        "no blocks",
    ],
)
def test_what_cannot_be_watched_is_told_before_the_first_step(
    given: dict[str, Any], module: Callable[[], L.LightningModule], said: str, tmp_path: Path
) -> None:
    seen = t.Seen()
    with pytest.raises(UserError, match=said) as error:
        t.train(tmp_path, t.boundary_drift(**given), seen, module=module, steps=1)
    assert "\n" not in str(error.value)
    assert seen.batches == []


@pytest.mark.parametrize("strategy", [DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy])
def test_strategies_that_shard_the_model_are_refused(strategy: type) -> None:
    trainer = SimpleNamespace(strategy=object.__new__(strategy), callbacks=[])
    with pytest.raises(UserError, match=rf"{strategy.__name__} shards: train with strategy=ddp, or run `mspgt drift`"):
        t.boundary_drift().setup(trainer, None, "fit")  # type: ignore[arg-type]
    t.boundary_drift().setup(trainer, None, "validate")  # type: ignore[arg-type]


def test_validating_and_testing_need_no_corpus(tmp_path: Path) -> None:
    drift = t.boundary_drift(data="nowhere.txt")
    trainer = L.Trainer(accelerator="cpu", callbacks=[drift], logger=False, enable_progress_bar=False)
    (metrics,) = trainer.validate(short(), t.loader(2), verbose=False)
    assert metrics["val_loss"] > 0
    assert drift.drift is None
