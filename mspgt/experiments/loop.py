"""Lightning's predict loop around the Collector: devices and strategies come from here, numbers do not."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import lightning as L
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from mspgt.config.shared import Machine
from mspgt.core.errors import UserError
from mspgt.core.key import Key
from mspgt.core.state import State, merge
from mspgt.measure.collector import Collector
from mspgt.models import LoadedModel
from mspgt.models.capture import Capture
from mspgt.models.forward import evaluation

NOISE = (
    ".*does not have many workers.*",
    ".*GPU available but not used.*",
    ".*IterableDataset.*__len__.*",
    ".*LeafSpec.*",
)
"""warnings of Lightning that mean nothing to a user of an analysis"""


class Item(Protocol):
    """What can be dealt to ranks: some sequences that belong together."""

    @property
    def keys(self) -> Sequence[Key]:
        """One per sequence."""

    def select(self, rows: Sequence[int]) -> Any:
        """The same with some of its sequences only."""


class Parcel:
    """A batch that Lightning carries unopened: its precision plugins take dataclasses apart."""

    __slots__ = ("batch",)

    def __init__(self, batch: Any) -> None:
        self.batch = batch


class Step(L.LightningModule):
    """One kind of pass: turns each batch into states. Holds a model so that Lightning moves and casts it.

    A model that is sharded or quantised is held out of Lightning's reach and stays where it is.
    """

    def __init__(self, model: LoadedModel, moved: nn.Module) -> None:
        super().__init__()
        self._loaded = [model]  # in a list, out of reach of Lightning's device placement
        if model.movable:
            self.model = moved

    @property
    def loaded(self) -> LoadedModel:
        """The model."""
        return self._loaded[0]

    @contextmanager
    def model_as_it_was(self) -> Iterator[None]:
        """Put back training modes and device: Lightning leaves a model on the CPU, its head elsewhere."""
        device = self.loaded.device
        with evaluation(self.loaded.full):
            try:
                yield
            finally:
                self.on_predict_end()
                if self.loaded.movable:
                    self.model.to(device)

    def merged(self, observed: Sequence[Mapping[str, State]]) -> dict[str, State]:
        """The states of several batches as one."""
        return {name: merge(batch[name] for batch in observed) for name in observed[0]}

    def let_go(self) -> None:
        """Hold the model no longer: Lightning keeps a module until it is given the next, and models are large."""
        self._loaded.clear()
        self._modules.clear()

    def transfer_batch_to_device(self, batch: Parcel, device: Any, dataloader_idx: int) -> Parcel:
        """Leave the batch where it is; a step moves what it needs."""
        return batch


class Observe(Step):
    """Lets signals look at each batch of a corpus."""

    def __init__(self, model: LoadedModel, collector: Collector) -> None:
        super().__init__(model, model.model)
        self._capture: Capture | None = None
        self.collector = collector

    def merged(self, observed: Sequence[Mapping[str, State]]) -> dict[str, State]:
        """The states of several batches as one; what does not merge is left out like what raises."""
        return self.collector.merged(observed)

    def on_predict_start(self) -> None:
        """Take hold of the model."""
        model = self.loaded
        self._capture = Capture(model.model, model.blocks, attention=self.collector.needs_attention)
        self._capture.__enter__()

    def predict_step(self, batch: Parcel, batch_idx: int) -> dict[str, State]:
        """The states of one batch."""
        if self._capture is None:
            raise RuntimeError("predict_step works inside Trainer.predict only")
        return self.collector.observe(self._capture, batch.batch)

    def transfer_batch_to_device(self, batch: Parcel, device: Any, dataloader_idx: int) -> Parcel:
        """Move the batch to where the model takes it."""
        return Parcel(batch.batch.to(device if self.loaded.movable else self.loaded.device))

    def on_predict_end(self) -> None:
        """Let go of the model; after an error, which Lightning tells callbacks alone, `predict` does it."""
        if self._capture is not None:
            self._capture.__exit__(None, None, None)
            self._capture = None


class Dealt(IterableDataset[Parcel]):
    """Whole batches dealt to ranks in turn, without the sequences that are done; every rank reads the same."""

    def __init__(self, batches: Iterable[Item], done: set[Key], trainer: L.Trainer) -> None:
        self._batches, self._done, self._trainer = batches, done, trainer

    def __iter__(self) -> Iterator[Parcel]:
        rank, world = self._trainer.global_rank, self._trainer.world_size
        for number, batch in enumerate(self._batches):
            if number % world == rank:
                rest = [row for row, key in enumerate(batch.keys) if key not in self._done]
                if len(rest) == len(batch.keys):
                    yield Parcel(batch)
                elif rest:
                    yield Parcel(batch.select(rest))


def make_trainer(options: Machine) -> L.Trainer:
    """The Trainer that the settings ask for.

    Raises
    ------
    UserError: Lightning refuses accelerator, devices or strategy.
    """
    quiet_libraries()
    devices: Any = options.devices
    if devices.lstrip("-").isdigit():
        devices = int(devices)
    try:
        return L.Trainer(
            accelerator=options.accelerator,
            devices=devices,
            num_nodes=options.num_nodes,
            strategy=options.strategy,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except Exception as error:
        why = " ".join(str(error).split())
        absent = "No supported gpu backend" in why or "is not available" in why
        advice = "; give accelerator=cpu, or see `mspgt doctor` for what this machine has." if absent else ""
        raise UserError(
            f"accelerator={options.accelerator} devices={options.devices} strategy={options.strategy}: "
            f"{why.rstrip('!.') if advice else why}{advice}"
        ) from error


def predict(
    trainer: L.Trainer, module: Step, batches: Iterable[Item], done: set[Key], callbacks: list[L.Callback]
) -> None:
    """One pass over a corpus; afterwards, whatever happens, the model is as it was, and nothing here holds it."""
    trainer.callbacks = callbacks
    loader = DataLoader(Dealt(batches, done, trainer), batch_size=None, num_workers=0)
    try:
        with module.model_as_it_was(), _interruptible():
            trainer.predict(module, dataloaders=loader, return_predictions=False)
    finally:
        module.let_go()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C stays Ctrl-C: Lightning makes an exit of it, and leaves further ones ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def quiet_libraries() -> None:
    """Keep what libraries say about themselves off the screen."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("lightning.pytorch", "lightning.fabric", "transformers", "sentence_transformers"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in NOISE:
        warnings.filterwarnings("ignore", message=message)
