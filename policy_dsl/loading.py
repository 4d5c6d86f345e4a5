"""From a file to a checked policy. Whatever the file holds, the answer is findings, not an exception."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from policy_dsl import ir, nodes
from policy_dsl.check import check
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Severity, Source, Span
from policy_dsl.parser import MOST_ERRORS, parse

LARGEST = 256 * 1024  # bytes; policies have a few KiB


@dataclass(frozen=True, slots=True)
class Loaded:
    """*policy* is None where *diagnostics* hold an error; *tests* are the tests that are well formed.

    *statements* is the syntax of the file itself, as far as it could be read.
    """

    source: Source
    policy: ir.Policy | None
    tests: tuple[nodes.Test, ...]
    diagnostics: tuple[Diagnostic, ...]
    statements: tuple[nodes.Statement, ...] = ()


def load(path: str | Path) -> Loaded:
    """Reads and checks a policy file. OSError when it can't be read."""
    with Path(path).open("rb") as file:
        data = file.read(LARGEST + 1)
    return _load(data, str(path))


def load_text(text: str, path: str = "<text>") -> Loaded:
    """Checks a policy; *path* is what findings show."""
    return _load(text.encode("utf-8", "surrogatepass"), path)


def _load(data: bytes, path: str) -> Loaded:
    if len(data) > LARGEST:
        return _unreadable(Source(path, ""), f"this file is larger than a policy can be ({LARGEST // 1024} KiB)", 1, 1)
    text = data.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        return _unreadable(Source(path, ""), "this is not a text file: it holds a zero byte", 1, 1)
    source = Source(path, text)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return _unreadable(source, "this is not UTF-8 text", line, column)
    return _check(source)


def _unreadable(source: Source, message: str, line: int, column: int) -> Loaded:
    span = Span(source, line, column, line, column + 1)
    return Loaded(source, None, (), (Diagnostic(codes.UNREADABLE, Severity.ERROR, message, span),))


@cache
def _prelude() -> tuple[nodes.Statement, ...]:
    text = Path(__file__).with_name("prelude.lamps").read_text(encoding="utf-8")
    parsed = parse(Source("<prelude>", text))
    assert not parsed.diagnostics, parsed.diagnostics
    return parsed.statements


def _check(source: Source) -> Loaded:
    parsed = parse(source)
    checked = check(source, _prelude(), parsed.statements)
    found = [*parsed.diagnostics, *checked.diagnostics]
    found.sort(key=lambda d: (d.span.line, d.span.column))
    policy = None if found else checked.policy
    return Loaded(source, policy, checked.tests, tuple(found[:MOST_ERRORS]), parsed.statements)
