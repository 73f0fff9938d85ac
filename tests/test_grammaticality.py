"""Grammaticality: with the real LanguageTool, and a made-up server for what that cannot be made to do."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytest

from mspgt.contracts.metric import Generated
from mspgt.core.errors import Interrupted, UserError
from mspgt.plugins.metrics import languagetool, languagetool_server
from mspgt.plugins.metrics.grammaticality import Grammaticality
from mspgt.plugins.metrics.languagetool import RETRIES
from mspgt.plugins.metrics.options import address_of
from mspgt.plugins.metrics.texts import words
from mspgt.testing.metrics import PASSAGES, MetricConformance

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "languagetool"

MADE_UP = r"""
import json, os, sys, time, urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, b"OK")

    def do_POST(self):
        fields = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        text = fields["text"][0]
        with open(log, "a") as file:
            print(text.replace("\n", " "), file=file)
        asked = open(log).read().count(text)
        if "silent" in text:
            time.sleep(60)
        if "trickle" in text:
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.05)
        if "fatal" in text or "dies once" in text and asked == 1:
            os._exit(1)
        if "busy" in text and asked < 3 or "always" in text:
            return self.answer(503, b"busy")
        if "too long" in text:
            return self.answer(413, b"limit")
        if "refused" in text:
            return self.answer(400, b"Error: 'xx' is not a language code\nmore")
        if "nonsense" in text:
            return self.answer(200, b"<html>")
        if "strange" in text:
            return self.answer(200, b'{"matches": [3]}')
        if "unfinished" in text:
            return self.answer(200, b'{"matches": [], "warnings": {"incompleteResults": true}}')
        found = ["GRAMMAR"] * text.count("go to") + ["TYPOS"] * text.count("teh")
        body = {"matches": [{"rule": {"category": {"id": name}}} for name in found]}
        self.answer(200, json.dumps(body).encode())

    def log_message(self, *args):
        pass

port, log = int(sys.argv[sys.argv.index("-p") + 1]), os.environ["MADE_UP_LOG"]
ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def generated(*texts):
    return [Generated(i, "prompt", text) for i, text in enumerate(texts)]


def children():
    """Processes below this one: guards and servers."""
    return psutil.Process().children(recursive=True)


def gone(processes):
    """Whether all have ended, soon."""
    return not psutil.wait_procs(processes, timeout=5)[1]


def one_sentence(error, *parts):
    text = str(error.value)
    assert text.startswith("grammaticality")
    assert "\n" not in text
    for part in parts:
        assert part in text
    return True


# ---------------------------------------------------------------------- a made-up server


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """A `java` on the path that runs the made-up server, and an empty jar for it to be given; returns the log."""
    log, script, java = tmp_path / "log", tmp_path / "server.py", tmp_path / "bin" / "java"
    log.touch()
    script.write_text(MADE_UP)
    java.parent.mkdir()
    java.write_text(
        '#!/bin/sh\nif [ "$1" = -version ]; then echo \'openjdk version "17.0.1"\' >&2; exit 0; fi\n'
        f'exec {sys.executable} -S {script} "$@"\n'
    )
    java.chmod(0o755)
    jar = tmp_path / "LanguageTool-6.8" / "languagetool-server.jar"
    jar.parent.mkdir()
    jar.touch()
    monkeypatch.setenv("PATH", f"{java.parent}:/usr/bin:/bin")
    monkeypatch.setenv("LTP_PATH", str(tmp_path))
    monkeypatch.setenv("MADE_UP_LOG", str(log))
    monkeypatch.setattr(languagetool, "PAUSE_SECONDS", 0.0)
    return log


@pytest.fixture
def given(made_up):
    """The address of a running made-up server."""
    server = languagetool_server.Server(offline=True)
    yield server.address
    server.stop()


def test_matches_are_counted_per_100_words(made_up):
    metric = Grammaticality(offline=True)
    texts = generated("I go to bed.", "", "I saw teh cat and go to bed, and go to bed.", "...", "All is well.", "teh")
    np.testing.assert_allclose(metric.measure(texts), [25, np.nan, 300 / 12, np.nan, 0, 100])
    assert metric.companions(texts) == {"all": 25.0, "grammar": 15.0, "typos": 10.0}
    assert metric.companions(texts[1:2]) == {}
    metric.close()


def test_one_server_serves_all_conditions_and_equal_texts_are_asked_once(made_up):
    metric = Grammaticality(offline=True, clients=4)
    before = children()
    for _ in range(3):
        metric.measure(generated(*(f"Text {i % 5}." for i in range(20))))
        metric.companions(generated("Text 1."))
    started = [process for process in children() if process not in before]
    assert len(started) == 2, "the guard and the server"
    assert Counter(made_up.read_text().splitlines()) == {languagetool.FAULTY: 1} | {f"Text {i}.": 1 for i in range(5)}
    metric.close()
    assert gone(started)
    metric.close()


def test_requests_go_out_in_parallel(given):
    metric = Grammaticality(server=given, clients=8, timeout=4)
    with pytest.raises(UserError):
        metric.measure(generated(*(f"silent {i}" for i in range(8))))
    assert Path(os.environ["MADE_UP_LOG"]).read_text().count("silent") == 8


@pytest.mark.parametrize("clients", [1, 3])
def test_a_server_that_dies_is_started_again_and_no_text_is_lost(made_up, clients):
    texts = generated(*(f"Text {i}: go to bed." for i in range(9)), "It dies once.", *(f"Go to {i}." for i in range(9)))
    metric = Grammaticality(offline=True, clients=clients)
    np.testing.assert_allclose(metric.measure(texts), [20] * 9 + [0] * 10)
    assert made_up.read_text().count(languagetool.FAULTY) == 2
    metric.close()


def test_a_server_that_always_dies_is_given_up(made_up):
    before = children()
    metric = Grammaticality(offline=True)
    with pytest.raises(UserError) as error:
        metric.measure(generated("All is well.", "This is fatal."))
    assert one_sentence(error, f"failed {RETRIES + 1} times", "started again")
    assert gone([process for process in children() if process not in before])


def test_a_given_server_that_is_busy_is_asked_again(given):
    values = Grammaticality(server=given).measure(generated("A busy day.", "We go to bed."))
    np.testing.assert_allclose(values, [0, 25])


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("silent", ("within 0.5 seconds", "timeout=")),
        ("trickle", ("within 0.5 seconds", "timeout=")),
        ("always busy", ("HTTP 503", "clients=")),
        ("too long", ("8 characters", "HTTP 413", "maxTextLength")),
        ("refused", ("HTTP 400", "'xx' is not a language code")),
        ("nonsense", ("not",)),
        ("strange", ("not",)),
        ("unfinished", ("middle of a text", "maxCheckTimeMillis")),
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_what_a_server_does_wrong_is_one_sentence_and_nothing_hangs_or_stays(made_up, request, text, parts, own):
    server = None if own else request.getfixturevalue("given")
    before = children()
    metric = Grammaticality(server=server, timeout=0.5, offline=True)
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        metric.measure(generated("All is well.", text))
    assert time.monotonic() - start < 10
    assert one_sentence(error, *parts)
    assert gone([process for process in children() if process not in before])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Interrupted])
def test_an_interrupt_stops_the_server(made_up, interruption):
    def handler(number, frame):
        raise interruption

    before, previous = children(), signal.signal(signal.SIGUSR1, handler)
    metric = Grammaticality(offline=True)
    metric.measure(generated("All is well."))
    started = [process for process in children() if process not in before]
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(interruption):
            metric.measure(generated("silent"))
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert len(started) == 2
    assert gone(started)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_the_server_dies_with_the_process_that_started_it(made_up, end):
    wait = "import time; time.sleep(60)" if end else ""
    code = (
        f"from mspgt.plugins.metrics.languagetool_server import Server; s = Server(True); print(1, flush=True); {wait}"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    started = []
    if end:
        parent.stdout.read(1)
        started = psutil.Process(parent.pid).children(recursive=True)
        assert len(started) == 2
        parent.send_signal(end)
    parent.wait(20)
    parent.stdout.close()
    assert gone(started)


# ---------------------------------------------------------------------- no server at all


def test_an_address_where_nothing_listens_is_one_sentence(monkeypatch):
    monkeypatch.setattr(languagetool, "PAUSE_SECONDS", 0.0)
    metric = Grammaticality(server=f"localhost:{languagetool_server._free_port()}")
    with pytest.raises(UserError) as error:
        metric.measure(generated("All is well."))
    assert one_sentence(error, "refused", "server=")


@pytest.mark.parametrize("address", ["ftp://localhost", "http://", "localhost:port", "localhost:99999", "", "foo bar"])
def test_what_cannot_be_an_address_is_refused_at_once(address):
    with pytest.raises(UserError) as error:
        Grammaticality(server=address)
    assert one_sentence(error, "http://localhost:8081")


@pytest.mark.parametrize("address", ["localhost:80", "http://localhost:80/", "http://localhost:80/v2/"])
def test_an_address_is_read_as_it_is_given(address):
    assert address_of(address) == "http://localhost:80"


def test_without_java_the_metric_says_so(made_up, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError) as error:
        Grammaticality(offline=True).measure(generated("All is well."))
    assert one_sentence(error, "java", "LTP_PATH")


def test_what_is_missing_is_seen_before_anything_is_generated(made_up, tmp_path, monkeypatch):
    before = children()
    Grammaticality(offline=True).probe()
    assert children() == before  # nothing was started
    with pytest.raises(UserError) as error:
        Grammaticality(server=f"localhost:{languagetool_server._free_port()}").probe()
    assert one_sentence(error, "does not answer", "server=")
    monkeypatch.setenv("LTP_PATH", str(tmp_path / "empty"))
    with pytest.raises(UserError) as error:
        Grammaticality(offline=True).probe()
    assert one_sentence(error, "offline", "LTP_PATH")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError):
        Grammaticality(offline=True).probe()


def test_without_languagetool_an_offline_run_says_so(made_up, tmp_path, monkeypatch):
    monkeypatch.setenv("LTP_PATH", str(tmp_path / "empty"))
    with pytest.raises(UserError) as error:
        Grammaticality(offline=True).measure(generated("All is well."))
    assert one_sentence(error, "offline", "LTP_PATH", "server=")


@pytest.mark.parametrize(
    ("does", "seconds", "part"), [("exit 1", 20.0, "stopped as soon"), ("sleep 60", 0.5, "did not answer within 0.5")]
)
def test_a_server_that_does_not_come_up_is_one_sentence(made_up, monkeypatch, does, seconds, part):
    before = children()
    monkeypatch.setattr(languagetool_server, "START_SECONDS", seconds)
    java = Path(shutil.which("java"))
    java.write_text(java.read_text().replace("exec ", f"{does} #"))
    with pytest.raises(UserError) as error:
        Grammaticality(offline=True).measure(generated("All is well."))
    assert one_sentence(error, part, "server=")
    assert gone([process for process in children() if process not in before])


def test_no_text_with_words_needs_no_server():
    metric = Grammaticality(server="http://localhost:1")
    assert np.isnan(metric.measure(generated("", "...", "?"))).all()
    assert metric.companions(generated("", "...")) == {}


# ---------------------------------------------------------------------- the real server


@pytest.fixture(scope="module")
def real():
    """The address of the real server."""
    if not REAL.is_dir() or shutil.which("java") is None:
        pytest.skip("the real LanguageTool (languagetool/ beside the checkout's parent) or Java is not here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LTP_PATH", str(REAL))
        server = languagetool_server.Server(offline=True)
        yield server.address
        server.stop()


MIXED = [
    *(text for text in dict.fromkeys(PASSAGES) if words(text)),
    'an unclosed ( bracket, and an unclosed "quote',
    'closes ) what another text opened" and goes on.',
    "We saw teh colour, teh color \U0001f600 and teh doughnut. We did. We ate. We left.",
    "\ud800 A lone surrogate.\x00 And a control character.\r\n\r\nA new paragraph are here.  ",
]


@pytest.mark.slow
class TestReal:
    @pytest.mark.parametrize("spelling", [True, False])
    def test_counts_are_those_of_the_client_library_on_each_text_alone(self, real, spelling):
        import language_tool_python

        client = language_tool_python.LanguageTool("en-US", remote_server=real)
        if not spelling:
            client.disable_spellchecking()
        found = [len(client.check(text.replace("\ud800", "?"))) for text in MIXED]
        metric = Grammaticality(server=real, spelling=spelling, clients=3)
        expected = [100 * count / len(words(text)) for count, text in zip(found, MIXED, strict=True)]
        np.testing.assert_allclose(metric.measure(generated(*MIXED)), expected, rtol=1e-12)
        assert metric.companions(generated(*MIXED))["all"] == pytest.approx(
            100 * sum(found) / sum(len(words(text)) for text in MIXED)
        )
        assert ("typos" in metric.companions(generated(*MIXED))) == spelling

    def test_texts_that_share_a_request_would_change_each_other(self, real):
        tool = Grammaticality(server=real)._tool
        opens, closes = "He said (and left.", "She came) too."
        assert tool.check([opens, closes, f"{opens}\n\n{closes}"]) == [("PUNCTUATION",), ("PUNCTUATION",), ()]

    def test_an_unknown_language_is_one_sentence(self, real):
        with pytest.raises(UserError) as error:
            Grammaticality(server=real, language="xx-YY").measure(generated("All is well."))
        assert one_sentence(error, "xx-YY")

    def test_a_server_killed_half_way_is_started_again_and_none_is_left(self, real, monkeypatch):
        monkeypatch.setenv("LTP_PATH", str(REAL))
        before = children()
        texts = generated(*(f"She go to school for {i} days." for i in range(2, 60)))
        metric = Grammaticality(offline=True)
        metric.measure(texts[:1])
        seen = [process for process in children() if process not in before]
        (java,) = (process for process in seen if process.name() == "java")
        threading.Timer(0.1, java.kill).start()
        values = metric.measure(texts)
        seen += [process for process in children() if process not in before]
        assert len({process for process in seen if process not in before}) == 4, "two guards, two servers"
        np.testing.assert_allclose(values, 100 / 7)
        metric.close()
        assert gone(seen)


@pytest.mark.slow
class TestRealLaws(MetricConformance):
    metric = Grammaticality
    options: ClassVar = {}

    @pytest.fixture(autouse=True)
    def at_the_real_server(self, real):
        type(self).options = {"server": real}
