"""What every command that reads a policy says to a file that is none: why, on stderr or stdout, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from lamps_cli.exit_codes import ExitCode
from lamps_cli.policy_files import Failure, read
from tests.cli.running import lamps

FILES = {
    "empty": (b"", "the file is empty"),
    "binary": (b"\x7fELF\x00\x01", "it holds a zero byte"),
    "large": (b"a" * 10_000_000, "larger than a policy can be"),
    "deep": (b'lamps 1\npolicy p "t"\nrank ' + b"not " * 10_000 + b"true\n", "this nests deeper than 100 levels"),
}
COMMANDS = {
    "lint": ["lint"],
    "fmt": ["fmt", "--check"],
    "test": ["test"],
    "explain": ["explain", "--test", "t"],
    "policy show": ["policy", "show", "--flat"],
    "policy diff": ["policy", "diff", "fcfs"],
    "serve": ["serve", "--policy"],
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_is_no_policy_is_a_finding(tmp_path: Path, command: str, file: str) -> None:
    if (command, file) == ("fmt", "deep"):
        pytest.skip("layout has no limit of depth here: it is formatted")
    data, why = FILES[file]
    path = tmp_path / "p.lamps"
    path.write_bytes(data)
    done = lamps(*COMMANDS[command], path)
    assert done.returncode == ExitCode.FINDINGS
    assert why in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("data", ["\0", ""], ids=["binary", "empty"])
@pytest.mark.parametrize("command", ["lint", "fmt"])
def test_standard_input_that_is_no_policy_is_a_finding(command: str, data: str) -> None:
    done = lamps(command, "-", stdin=data)
    assert done.returncode == ExitCode.FINDINGS
    assert "<stdin>:1:1" in done.stdout + done.stderr


def test_what_is_no_text_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "p.lamps"
    path.write_bytes(b"\0")
    done = lamps("policy", "show", path)
    assert (done.returncode, done.stdout) == (ExitCode.FINDINGS, "")
    assert "it holds a zero byte" in done.stderr


def test_a_file_that_may_not_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for `open`: the superuser may read everything."""

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Failure, match=r"can't read .*p\.lamps: Permission denied"):
        read(tmp_path / "p.lamps")
