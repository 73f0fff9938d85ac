"""LanguageTool over HTTP: texts asked in parallel, through the death of the server, within a stated time.

One text goes in one request. Texts that share a request, separated by blank lines, change each other's matches, since
rules on brackets, quotes, capital letters, repeated beginnings and consistent spelling look across paragraphs. What
sharing saves is the loading of the rules, and a server of our own keeps them loaded.
"""

from __future__ import annotations

import http.client
import json
import textwrap
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool

from mspgt.core.errors import UserError
from mspgt.plugins.metrics.languagetool_server import LOCAL, START_SECONDS, Server, command
from mspgt.plugins.metrics.options import GrammaticalityOptions, address_of

Categories = tuple[str, ...]
"""the category of each match in a text, such as ("GRAMMAR", "TYPOS")"""

RETRIES = 3
"""how often, all in all, the server is started again, or a given one is waited for"""
PAUSE_SECONDS = 1.0
"""before a given server is first tried again; twice as long each time"""
FAULTY = "She go to school every day."
"""English rules find the mistake"""


class _Lost(Exception):
    """The server broke off or was too busy; the text is to be asked again."""


class LanguageTool:
    """A LanguageTool server, started when first needed, and stopped by `close` or by any error.

    Parameters
    ----------
    options: a server's address (one is started without), language, and how it is asked.
    offline: download nothing.
    """

    def __init__(self, options: GrammaticalityOptions, offline: bool) -> None:
        self._given = None if options.server is None else address_of(options.server)
        self._fields = {"language": options.language} | ({} if options.spelling else {"disabledCategories": "TYPOS"})
        self._timeout, self._clients, self._offline = options.timeout, options.clients, offline
        self._server: Server | None = None
        self._address: str | None = None
        self._retries = RETRIES

    def probe(self) -> None:
        """See whether there will be a server, without starting one.

        Raises
        ------
        UserError: the given one does not answer, or there is no Java or no LanguageTool to start one from.
        """
        if self._given is None:
            command(0, self._offline)
            return
        try:
            self._open()
        except _Lost as lost:
            raise UserError(
                f"grammaticality: the LanguageTool server at {self._given} does not answer ({lost}): start it, or give "
                "another server=."
            ) from lost
        finally:
            self._address = None

    def check(self, texts: Sequence[str]) -> list[Categories]:
        """The matches of each text, in the order of the texts; equal texts are asked once.

        Raises
        ------
        UserError: no server, or one that breaks off more than three times, takes too long, refuses a text or answers
            nonsense.
        """
        matches: dict[str, Categories] = {}
        try:
            while waiting := [text for text in dict.fromkeys(texts) if text not in matches]:
                try:
                    self._open()
                    # The first error is raised at once. What is then in flight ends in its own time, unheard: the
                    # threads are daemons, which an interrupted process does not wait for.
                    with ThreadPool(min(self._clients, len(waiting))) as pool:
                        matches.update(pool.imap_unordered(lambda text: (text, self._ask(text)), waiting))
                except _Lost as lost:
                    self._recover(lost)
        except BaseException:
            self.close()
            raise
        return [matches[text] for text in texts]

    def close(self) -> None:
        """Stop the server if it is ours."""
        self._address = None
        if self._server is not None:
            self._server.stop()
            self._server = None

    # ------------------------------------------------------------------------------------ the server

    def _open(self) -> None:
        """Have a server that finds the mistake in a sentence with one."""
        if self._address is not None:
            return
        if self._given is None:
            self._server = Server(self._offline)
        self._address = self._given if self._server is None else self._server.address
        # The first answer waits for the rules to load.
        seconds = self._timeout if self._server is None else max(self._timeout, START_SECONDS)
        if not self._ask(FAULTY, seconds) and self._fields["language"].startswith("en"):
            raise UserError(
                f"grammaticality: the server at {self._address} finds no mistake in {FAULTY!r}: it has no English "
                "rules; give another server=."
            )

    def _recover(self, lost: _Lost) -> None:
        """Make the next attempt possible, unless there were too many."""
        if self._retries == 0:
            what = "started again" if self._given is None else "tried again"
            raise UserError(
                f"grammaticality: the LanguageTool server failed {RETRIES + 1} times ({lost}), though it was {what} "
                "each time: give server= with one that runs."
            ) from lost
        self.close()
        if self._given is not None:
            time.sleep(PAUSE_SECONDS * 2 ** (RETRIES - self._retries))
        self._retries -= 1

    # ------------------------------------------------------------------------------------ one request

    def _ask(self, text: str, seconds: float | None = None) -> Categories:
        if self._address is None:
            raise _Lost("it was stopped")
        seconds = self._timeout if seconds is None else seconds
        body = urllib.parse.urlencode({**self._fields, "text": text}, errors="replace").encode()
        try:
            return _categories(_post(f"{self._address}/v2/check", body, seconds))
        except urllib.error.HTTPError as error:
            raise _refusal(error, len(text)) from error
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError):
                raise UserError(
                    f"grammaticality: the LanguageTool server did not answer within {seconds:g} seconds on a text of "
                    f"{len(text):,} characters: give a longer timeout=, or another server=."
                ) from error
            raise _Lost(str(error).strip() or type(error).__name__) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"grammaticality: the server at {self._address} answers what LanguageTool does not: give the address "
                "of a LanguageTool server as server=."
            ) from error


def _post(url: str, body: bytes, seconds: float) -> bytes:
    """The whole answer; TimeoutError where it does not come in time, however it trickles."""
    until = time.monotonic() + seconds
    host = urllib.parse.urlsplit(url).hostname
    opener = LOCAL if host in ("localhost", "127.0.0.1", "::1") else urllib.request.build_opener()
    parts = []
    with opener.open(url, body, timeout=seconds) as reply:
        while part := reply.read1(1 << 16):
            if time.monotonic() > until:
                raise TimeoutError
            parts.append(part)
        if reply.length:
            raise http.client.IncompleteRead(b"", reply.length)
    return b"".join(parts)


def _categories(answer: bytes) -> Categories:
    """Read an answer to /v2/check; anything else raises what _ask takes for nonsense."""
    reply = json.loads(answer)
    if reply.get("warnings", {}).get("incompleteResults"):
        raise UserError(
            "grammaticality: the LanguageTool server gave up in the middle of a text: give server= with one whose "
            "maxCheckTimeMillis is higher."
        )
    return tuple(str(match["rule"]["category"]["id"]) for match in reply["matches"])


def _refusal(error: urllib.error.HTTPError, length: int) -> Exception:
    """What an HTTP status other than 200 means."""
    with error:
        reason = error.read(4096).decode("utf-8", "replace").strip().partition("\n")[0].rstrip(".")
        reason = textwrap.shorten(reason, 300, placeholder=" ...")
    if error.code == 503:
        return _Lost("HTTP 503: too many requests at once; fewer clients= may help")
    if error.code == 413:
        return UserError(
            f"grammaticality: the LanguageTool server takes no text of {length:,} characters (HTTP 413): raise its "
            "maxTextLength, or generate shorter texts."
        )
    return UserError(
        f"grammaticality: the LanguageTool server refuses a text of {length:,} characters (HTTP {error.code}: "
        f"{reason or error.reason})."
    )
