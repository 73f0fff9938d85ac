"""Options of the metrics that use models or servers, declared where no torch is imported so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

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
        None, "address of a running LanguageTool server, such as http://localhost:8081; none: one is started"
    )
    language: str = option("en-US", "language of the rules")
    spelling: bool = option(True, "count spelling too, by which names and invented words are mistakes")
    timeout: float = option(60.0, "seconds to wait for the server's answer to one request", low=0.1)
    clients: int = option(2, "requests at a time", low=1, high=64)
