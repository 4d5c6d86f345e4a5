"""From a file to a checked policy. Whatever the file holds, the answer is findings, not an exception."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from policy_dsl import ir, nodes
from policy_dsl.check import check
from policy_dsl.diagnostics.model import Diagnostic, Source
from policy_dsl.parser import MOST_ERRORS, parse
from policy_dsl.reading import LARGEST, decode


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
    source = decode(data, path)
    if isinstance(source, Diagnostic):
        return Loaded(source.span.source, None, (), (source,))
    return _check(source)


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
