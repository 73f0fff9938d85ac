"""A LanguageTool server of our own: found or downloaded, started on a free port, stopped.

`language-tool-python` knows where the server lies (`LTP_PATH`), downloads it where it may, and checks Java. What runs
is a guard that runs the server and watches a pipe: when the pipe gets a byte or breaks, because this process was
killed, say, the guard kills the server. So none is left behind.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request

from mspgt.core.errors import UserError

HEAP = "-Xmx1500m"
"""the JVM's own limit is a quarter of the machine"""
START_SECONDS = 120.0
"""a server that does not answer by then is given up"""
_GUARD = """
import subprocess, sys, threading
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
threading.Thread(target=lambda: (sys.stdin.buffer.read(1), server.kill()), daemon=True).start()
sys.exit(server.wait() and 1)
"""
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""opens addresses on this machine, past any proxy"""


class Server:
    """A running server; made by starting it.

    Parameters
    ----------
    offline: do not download it.

    Raises
    ------
    UserError: there is no Java or no LanguageTool, or it does not start.
    """

    def __init__(self, offline: bool) -> None:
        port = _free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _GUARD, *command(port, offline)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for us, who then stop it
        )
        try:
            self._await()
        except BaseException:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process is there; it may hang."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Kill the server and wait until it is gone; nothing if it is."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                self._process.stdin.write(b".")
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if not self.alive:
                raise UserError(
                    "grammaticality: the LanguageTool server stopped as soon as it was started: see whether "
                    "`java -version` says 17 or more and the folder of LTP_PATH is whole, or give server=."
                )
            with contextlib.suppress(OSError), LOCAL.open(f"{self.address}/v2/healthcheck", timeout=5):
                return
            time.sleep(0.1)
        raise UserError(
            f"grammaticality: the LanguageTool server did not answer within {START_SECONDS:g} seconds of its start: "
            "start one by hand and give server=."
        )


def command(port: int, offline: bool) -> list[str]:
    """What starts the server, downloaded first if need be. It keeps its rules loaded between requests.

    Raises
    ------
    UserError: there is no Java or no LanguageTool.
    """
    from language_tool_python.config_file import LanguageToolConfig
    from language_tool_python.download_lt import LTP_DOWNLOAD_VERSION, LocalLanguageTool

    try:
        tool = LocalLanguageTool.from_version_name(LTP_DOWNLOAD_VERSION)
        if offline and tool not in LocalLanguageTool.get_installed_versions():
            raise UserError(
                f"grammaticality: LanguageTool {LTP_DOWNLOAD_VERSION} is not on this machine, and this run is offline: "
                f"set LTP_PATH to the folder that holds LanguageTool-{LTP_DOWNLOAD_VERSION}, or give server=."
            )
        tool.download()
        settings = {"pipelineCaching": True, "maxPipelinePoolSize": 64, "pipelineExpireTimeInSeconds": 3600}
        java, *arguments = tool.get_server_cmd(port, LanguageToolConfig(settings))
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # an unreadable Java version ends the library with SystemExit
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(
            f"grammaticality: no LanguageTool server could be started ({reason}): install Java 17 or later, set "
            f"LTP_PATH to the folder that holds LanguageTool-{LTP_DOWNLOAD_VERSION}, or give server=."
        ) from error
    return [java, HEAP, *arguments]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
