"""States and fits of a run on disk.

state/run.json                         manifest
state/<corpus>-<pass>/*.safetensors    shards, append-only
state/fitted/<signal>-<pass>.safetensors
state/failed-<rank>.json               what plugins of a process raised
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mspgt.contracts.signal import Fitted
from mspgt.core.codec import plain, structure
from mspgt.core.errors import UserError
from mspgt.core.files import write_json, writing
from mspgt.core.key import Key
from mspgt.core.state import State
from mspgt.measure.collector import CENSUS
from mspgt.measure.corpora import CorpusIdentity
from mspgt.measure.shards import Shards, read_header, read_state, shards
from mspgt.models.facts import ModelFacts

MANIFEST = "run.json"


@dataclass(frozen=True)
class Manifest:
    """What states belong to.

    Attributes
    ----------
    kind: of the result that they lead to.
    fingerprint: plain values that must be the same for work to go on with the states, or to merge them.
    data: corpus -> which it is; signals: name -> the corpus that it is measured on; passes: over the corpora at most.
    sequences: corpus -> how many there are; None until all passes are done, as are the next two.
    notes: what a reader must know; left_out: what was not read; one sentence each.
    checkpoints: that a drift follows; model_sha256: of the weights, None where there are several.
    """

    kind: str
    fingerprint: Mapping[str, Any]
    model: ModelFacts | None = None
    data: Mapping[str, CorpusIdentity] = field(default_factory=dict)
    signals: Mapping[str, str] = field(default_factory=dict)
    passes: int = 1
    sequences: Mapping[str, int] | None = None
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    world_size: int = 1
    checkpoints: tuple[str, ...] = ()
    model_sha256: str | None = None

    @property
    def data_sha256(self) -> dict[str, str | None]:
        """Corpus -> hash of what was read."""
        return {corpus: source.sha256 for corpus, source in self.data.items()}


@dataclass
class Store:
    """The folder of states.

    Attributes
    ----------
    absent: whether what is there is to be replaced, and counts as absent until then.
    """

    path: Path
    absent: bool = False

    def folder(self, corpus: str, number: int) -> Path:
        """Where the shards of one pass over one corpus lie."""
        return self.path / f"{corpus}-{number}"

    # ------------------------------------------------------------------ manifest

    def manifest(self) -> Manifest:
        """What the states belong to, as `write_manifest` left it.

        Raises
        ------
        UserError: there is none, or it is damaged.
        """
        path, again = self.path / MANIFEST, "run again with overwrite=true"
        try:
            contents = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            where = self.path.parent
            raise UserError(f"{where} has no states to work with ({MANIFEST} is missing in state/).") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}); {again}.") from error
        return structure(contents, Manifest, str(path), again)

    def complete_manifest(self) -> Manifest:
        """The manifest of a finished run whose states are all there.

        Raises
        ------
        UserError: the run is unfinished, or states were taken away.
        """
        manifest, run = self.manifest(), self.path.parent
        if manifest.sequences is None:
            raise UserError(f"{run} is unfinished; go on with it by `mspgt run ... out={run} resume=true` first.")
        for corpus, count in manifest.sequences.items():
            if missing := count - len(self.done(corpus, 0)):
                raise UserError(
                    f"{self.folder(corpus, 0)} lacks {missing:,} of the run's {count:,} sequences: put the files back "
                    "that were taken away, or run the same command with resume=true to measure them again."
                )
        return manifest

    def write_manifest(self, manifest: Manifest) -> None:
        """Replace the manifest whole or not at all."""
        write_json(self.path / MANIFEST, plain(manifest))

    # ------------------------------------------------------------------ failures

    def failures(self) -> dict[str, str]:
        """Signals that raised in any process -> the sentence that says so; the first process's stands."""
        sentences: dict[str, str] = {}
        for path in sorted(self.path.glob("failed-*.json"), reverse=True):
            sentences |= json.loads(path.read_text(encoding="utf-8"))
        return sentences

    def clear_failures(self) -> None:
        """Give plugins that raised another chance."""
        for path in (*self.path.glob("failed-*.json"), *self.path.glob("stopped-*.json")):
            path.unlink()

    def write_failures(self, rank: int, failures: Mapping[str, str]) -> None:
        """Keep what one process's plugins raised."""
        write_json(self.path / f"failed-{rank}.json", failures)

    # ------------------------------------------------------------------ states and fits

    def done(self, corpus: str, number: int) -> set[Key]:
        """The sequences that are already in shards of a pass."""
        if self.absent:
            return set()
        headers = (read_header(path) for path in shards(self.folder(corpus, number)))
        return {key for header in headers for key in header[CENSUS]["keys"]}  # type: ignore[attr-defined]

    def census(self, corpus: str) -> State:
        """Tokens, sentences and labelled instances of every sequence of a corpus."""
        return read_state(self.folder(corpus, 0), CENSUS)

    def sentences_done(self, corpus: str, number: int) -> int:
        """How many sentences are in shards of a pass."""
        if self.absent:
            return 0
        read = Shards(self.folder(corpus, number), CENSUS)
        return sum(int(state.tables["sequences"].columns["sentences"].sum()) for state in read)

    def state(self, corpus: str, number: int, signal: str) -> State:
        """The merged state of a signal after a pass.

        Raises
        ------
        UserError: it raised, in this session or an earlier one, and so did not see all sequences.
        """
        state, sequences = read_state(self.folder(corpus, number), signal), len(self.done(corpus, 0))
        if missing := sequences - len(state.keys):
            raise UserError(f"its state lacks {missing} of {sequences} sequences; run again with overwrite=true.")
        return state

    def fitted(self, signal: str, number: int) -> Fitted | None:
        """What a signal fitted after a pass, if it is saved."""
        path = self._fitted_path(signal, number)
        if not path.is_file():
            return None
        try:
            tensors: Fitted = load_file(path)
        except (SafetensorError, OSError) as error:
            raise UserError(
                f"{path} is damaged ({error}); delete it and run the same command with resume=true."
            ) from error
        return tensors

    def keep(self, signal: str, number: int, fitted: Fitted) -> None:
        """Save what a signal fitted."""
        with writing(self._fitted_path(signal, number)) as temporary:
            save_file({name: value.detach().cpu().contiguous() for name, value in fitted.items()}, temporary)

    def _fitted_path(self, signal: str, number: int) -> Path:
        return self.path / "fitted" / f"{signal}-{number}.safetensors"
