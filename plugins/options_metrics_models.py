"""Options of the metrics that use models or servers, declared where no torch is imported so that help is instant."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass

from mspgt.errors import UserError
from mspgt.options import option


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
