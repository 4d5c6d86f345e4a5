"""The frame of the command line: help, versions, exit statuses, colour, and what happens when things go wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from lamps_cli import main
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import to_json
from tests.cli.running import LAMPS, lamps


def test_help_lists_every_command_with_its_summary() -> None:
    done = lamps("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for name, summary in main.COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert summary.split()[0] in done.stdout


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_in_the_table_exists(name: str) -> None:
    done = lamps(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: lamps {name} ")


def test_help_imports_no_command_and_no_heavy_package() -> None:
    code = "import sys; from lamps_cli.main import run; run(['--help']); print('|'.join(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = {name.split(".")[0] for name in modules.splitlines()[-1].split("|")}
    assert not loaded & {"vllm", "torch", "numpy", "rich", "lark", "msgspec", "httpx", "policy_dsl", "engine_adapter"}
    assert "lamps_cli.commands." not in modules


def test_version_tells_language_and_engine_without_importing_it() -> None:
    began = time.perf_counter()
    lines = lamps("--version").stdout.splitlines()
    assert time.perf_counter() - began < 2  # importing vLLM takes 4 s and more
    assert [line.split()[0] for line in lines] == ["lamps", "policy", "vLLM"]
    assert lines[1] == "policy language 1"


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("stauts", "Did you mean status?"), ("xyzzy", "There are serve, status,")],
)
def test_an_unknown_command_names_the_nearest(typed: str, answer: str) -> None:
    done = lamps(typed)
    assert done.returncode == ExitCode.USAGE
    assert f"no command '{typed}'" in done.stderr
    assert answer in done.stderr
    assert done.stdout == ""


def test_a_wrong_option_is_wrong_use() -> None:
    assert lamps("completion", "--frobnicate").returncode == ExitCode.USAGE


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_lamps(shell: str) -> None:
    done = lamps("completion", shell)
    assert done.returncode == 0
    assert "_LAMPS_COMPLETE=" in done.stdout


def test_commands_and_options_complete() -> None:
    done = lamps(COMP_WORDS="lamps st", COMP_CWORD="1", _LAMPS_COMPLETE="bash_complete")
    assert done.stdout.split() == ["plain,status"]
    done = lamps(COMP_WORDS="lamps bench --gap", COMP_CWORD="2", _LAMPS_COMPLETE="bash_complete")
    assert done.stdout.split() == ["plain,--gap-scale"]


def _replace_completion(monkeypatch: pytest.MonkeyPatch, error: type[Exception], *arguments: object) -> None:
    """Makes `lamps completion` raise."""

    def fail() -> None:
        raise error(*arguments)

    monkeypatch.setattr("lamps_cli.commands.completion.completion", click.Command("completion", callback=fail))


def test_a_bug_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("LAMPS_DEBUG", raising=False)
    _replace_completion(monkeypatch, KeyError, "x")
    assert main.run(["completion"]) == ExitCode.INTERNAL
    assert capsys.readouterr().err == "internal error: KeyError: 'x' (set LAMPS_DEBUG=1 for the traceback)\n"
    monkeypatch.setenv("LAMPS_DEBUG", "1")
    with pytest.raises(KeyError):
        main.run(["completion"])


def test_a_failure_says_what_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _replace_completion(monkeypatch, Failure, "no server", "start one", ExitCode.UNREACHABLE)
    assert main.run(["completion"]) == ExitCode.UNREACHABLE
    assert capsys.readouterr().err == "error: no server\n  start one\n"
    assert main.run(["--color", "always", "completion"]) == ExitCode.UNREACHABLE
    assert capsys.readouterr().err.startswith("\x1b[31m\x1b[1merror:\x1b[0m ")


def test_an_interrupt_is_no_traceback(trace_of_one_long_wait: Path) -> None:
    from tests.workload.fake_server import FakeServer, serving

    with serving(FakeServer()) as fake:
        child = subprocess.Popen(
            [LAMPS, "bench", trace_of_one_long_wait, "--url", fake.url, "--rate", "1000"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 20
        while not fake.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert child.returncode == ExitCode.INTERRUPTED
    assert "0 finished, 1 failed" in out
    assert "interrupted" in err
    assert "Traceback" not in err


@pytest.fixture
def trace_of_one_long_wait(tmp_path: Path) -> Path:
    path = tmp_path / "wait.jsonl"
    path.write_text(
        '{"session":"a","turns":[{"prompt":5,"shared":0,"output":1},{"prompt":6,"shared":5,"output":1,"gap":99}]}\n'
    )
    return path


def test_a_reader_that_leaves_is_no_error() -> None:
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import time; time.sleep(0.3)\nfrom lamps_cli.main import main\nmain()",
            "completion",
            "zsh",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == ""
    child.stderr.close()
    assert child.wait(timeout=20) == ExitCode.BROKEN_PIPE


def test_json_has_no_nan() -> None:
    assert (
        to_json({"a": [float("nan"), float("-inf"), 1.5], 2: (None, "é")})
        == '{"a": [null, null, 1.5], "2": [null, "é"]}'
    )
