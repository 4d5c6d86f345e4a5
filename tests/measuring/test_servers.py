"""Starting and stopping servers, with a program in place of `lamps` that starts in no time."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import httpx
import pytest

from lamps_cli.measuring import servers
from lamps_cli.measuring.machine import CORES
from lamps_cli.measuring.servers import DidNotStart, serve_words, serving

# It answers everything, has a child, and leaves when asked; "die" among its words: it ends at once.
PROGRAM = """
import http.server, subprocess, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
print("asked for", *sys.argv[1:], flush=True)
if "die" in sys.argv:
    sys.exit("no model of that name")
if "hang" in sys.argv:
    import time; time.sleep(60)
waits = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", waits])
print("child", child.pid, flush=True)

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    monkeypatch.setattr(servers, "lamps_command", lambda: [sys.executable, str(script)])
    monkeypatch.setattr(servers, "_ASK_EVERY_S", 0.02)
    yield
    os.sched_setaffinity(0, CORES)


def gone(pid: int) -> bool:
    """Whether a process has ended, within five seconds; one that nobody has waited for yet has."""
    for _ in range(250):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_server_is_there_for_the_block_and_gone_with_its_children(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(serve_words("fcfs", ("a=1",), "random", ("--x",)), log, 30) as server:
        assert httpx.get(server.url).status_code == 200
        lines = log.read_text().splitlines()
        assert lines[0].startswith(
            "asked for serve --policy fcfs --param a=1 --model random --store none --profile none --x --port "
        )
        child = int(lines[1].split()[1])
        assert os.getpgid(child) == server.group
        assert os.getsid(child) == os.getsid(0)
    assert gone(server.group)
    assert gone(child)


def test_it_is_stopped_when_the_block_fails(tmp_path: Path) -> None:
    group = 0
    with pytest.raises(KeyboardInterrupt), serving(["serve"], tmp_path / "log", 30) as server:
        group = server.group
        raise KeyboardInterrupt
    assert gone(group)


def test_one_that_ends_says_why(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart) as failure, serving(["serve", "die"], tmp_path / "log", 30):
        pass
    said = str(failure.value)
    assert said.startswith("the server ended with status 1 before it answered:\n")
    assert said.endswith("no model of that name")


def test_one_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match=r"did not answer within 0\.3 s"), serving(["hang"], tmp_path / "log", 0.3):
        pass


def test_a_store_and_a_profile_of_the_users_own_stay() -> None:
    words = serve_words("lamps", flags=("--store", "here.sqlite", "--profile", "mine.yaml"))
    assert "none" not in words
