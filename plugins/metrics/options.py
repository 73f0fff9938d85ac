"""Options of the built-in metrics, declared where no torch is imported so that help is instant."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from mspgt.core.errors import UserError
from mspgt.core.options import option

RUN_ON = 60
"""words beyond which a sentence is a run-on, unless an option says otherwise"""


@dataclass(frozen=True)
class SelfBLEUOptions:
    """Options of `self_bleu`."""

    order: int = option(4, "longest n-gram that counts; each order weighs the same", low=1)


@dataclass(frozen=True)
class LengthVarianceOptions:
    """Options of `length_variance`."""

    cut: str = option(
        "drop",
        "a last sentence without closing punctuation, cut by the token limit: drop it unless it is a run-on already, "
        "or keep it as if it were whole",
        choices=("drop", "keep"),
    )
    run_on: int = option(RUN_ON, "words beyond which a sentence is a run-on", low=1)


@dataclass(frozen=True)
class TTROptions:
    """Options of `ttr`."""

    variant: str = option(
        "plain",
        "plain: distinct words over words, which falls with length; mattr: its mean over windows of equal length",
        choices=("plain", "mattr"),
    )
    window: int = option(50, "words in a window of mattr; a shorter text has none", low=1)
    first: int = option(50, "words of each text that `ttr_first_n` looks at; a shorter text is left out of it", low=1)


@dataclass(frozen=True)
class RepetitionOptions:
    """Options of `repetition`."""

    n: int = option(4, "tokens of an n-gram", low=1)


@dataclass(frozen=True)
class CoherenceOptions:
    """Options of `coherence`."""

    model: str = option("minilm", "sentence encoder: minilm (built in), a SentenceTransformer name or a folder")
    between: str = option(
        "sentences",
        "what is compared: neighbouring sentences of a text, or the prompt and its continuation",
        choices=("sentences", "prompt"),
    )


@dataclass(frozen=True)
class GrammaticalityOptions:
    """Options of `grammaticality`."""

    server: str | None = option(
        None,
        "address of a running LanguageTool server, such as http://localhost:8081; none: one is started",
        decides=False,
    )
    language: str = option("en-US", "language of the rules")
    spelling: bool = option(True, "count spelling too, by which names and invented words are mistakes")
    timeout: float = option(60.0, "seconds to wait for the server's answer to one request", low=0.1, decides=False)
    clients: int = option(2, "requests at a time", low=1, high=64, decides=False)

    def __post_init__(self) -> None:
        """Refuse what can be no address before anything is generated."""
        if self.server is not None:
            address_of(self.server)


def address_of(server: str) -> str:
    """The address of a LanguageTool server without its path /v2.

    Raises
    ------
    UserError: it can be no address.
    """
    parts = urllib.parse.urlsplit(server if "://" in server else f"http://{server}")
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in server):
        raise UserError(
            f"grammaticality.server={server!r}: give the address of a LanguageTool server, such as "
            "http://localhost:8081."
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/v2')}"
