"""From a file to a checked policy. Whatever the file holds, the answer is findings, not an exception."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from policy_dsl import ir, nodes
from policy_dsl.check import check
from policy_dsl.composition import File, compose
from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Source
from policy_dsl.flat import FlatStatement, alone
from policy_dsl.parser import MOST_ERRORS, parse
from policy_dsl.reading import LARGEST, decode
from policy_dsl.scope import Definition
from policy_dsl.types import Type


@dataclass(frozen=True, slots=True)
class Loaded:
    """*policy* is None where *diagnostics* hold an error; *tests* are the tests that are well formed.

    *statements* is the syntax of the file itself, as far as it could be read. *flat* is what the policy is made of
    when all that it takes over is written out, *sources* are the other files that it is built on.
    *definitions* are all names that it can read, *types* what is known of them, whether or not there are errors.
    *composed* is the syntax of what it is made of, inherited statements first.
    """

    source: Source
    policy: ir.Policy | None
    tests: tuple[nodes.Test, ...]
    diagnostics: tuple[Diagnostic, ...]
    statements: tuple[nodes.Statement, ...] = ()
    flat: tuple[FlatStatement, ...] = ()
    sources: tuple[Source, ...] = ()
    definitions: Mapping[str, Definition] = field(default_factory=dict)
    types: Mapping[str, Type] = field(default_factory=dict)
    composed: tuple[nodes.Statement, ...] = ()


def load(path: str | Path) -> Loaded:
    """Reads and checks a policy file, and those it is built on. OSError when it can't be read itself."""
    return _check(_read(Path(path), str(path)))


def load_text(text: str, path: str = "<text>") -> Loaded:
    """Checks a policy; *path* is what findings show, and from where the files it is built on are looked for."""
    return _load(text.encode("utf-8", "surrogatepass"), path)


def sendable(path: str | Path) -> str:
    """The policy file at *path* as a text that stands alone: the file itself, or where it takes over from others, all
    written out. ValueError where it has errors, OSError where it can't be read."""
    loaded = load(path)
    if loaded.policy is None:
        raise ValueError(f"{path} has errors")
    return alone(loaded.policy.flat, loaded.source) if loaded.sources else loaded.source.text


def _load(data: bytes, path: str) -> Loaded:
    return _check(_file(data, path, None if path.startswith("<") else Path(path)))


def _read(path: Path, shown: str) -> File:
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    return _file(data, shown, path)


def _file(data: bytes, shown: str, path: Path | None) -> File:
    """The syntax of a file, or why it is no text."""
    source = decode(data, shown)
    if isinstance(source, Diagnostic):
        return File(source.span.source, path, (), (source,))
    parsed = parse(source)
    return File(source, path, parsed.statements, parsed.diagnostics)


@cache
def _prelude() -> tuple[nodes.Statement, ...]:
    text = Path(__file__).with_name("prelude.lamps").read_text(encoding="utf-8")
    parsed = parse(Source("<prelude>", text))
    assert not parsed.diagnostics, parsed.diagnostics
    return parsed.statements


def _check(file: File) -> Loaded:
    nothing = not file.statements and bool(file.diagnostics)
    if nothing or any(d.code == codes.UNREADABLE for d in file.diagnostics):
        return Loaded(file.source, None, (), file.diagnostics)
    composed = compose(file, lambda path: _read(path, str(path)))
    checked = check(file.source, _prelude(), composed.statements)
    found = [*file.diagnostics, *composed.diagnostics, *checked.diagnostics]
    found.sort(key=lambda d: (d.span.source is not file.source, d.span.source.path, d.span.line, d.span.column))
    policy = None if found else checked.policy
    return Loaded(
        file.source, policy, checked.tests, tuple(found[:MOST_ERRORS]), file.statements, checked.flat,
        tuple(composed.sources), checked.definitions, checked.types,
        tuple(composed.statements),
    )  # fmt: skip
