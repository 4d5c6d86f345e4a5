"""The rules, found by the names of their files; a file is imported when its rule is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.names import nearest

_FILE = re.compile(r"lmp(\d{3})_([a-z0-9_]+)\.py")


class UnknownRule(LookupError):
    """No rule has this code or name. *near* holds the nearest names."""

    def __init__(self, asked: str, near: list[str]) -> None:
        super().__init__(f"there is no rule `{asked}`")
        self.asked, self.near = asked, near


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule: its file is `rules/lmp301_unbounded_wait.py`."""

    code: str
    name: str
    module: str

    def load(self) -> type[Rule]:
        """The rule's class, which the module calls `RULE`."""
        found: type[Rule] = import_module(f"policy_dsl.lint.rules.{self.module}").RULE
        return found


@cache
def entries() -> dict[str, Entry]:
    """All rules by code, in order of code."""
    names = sorted(p.name for p in Path(__file__).with_name("rules").iterdir())
    matches = (m for m in map(_FILE.fullmatch, names) if m)
    return {e.code: e for e in (Entry(f"LMP{m[1]}", m[2].replace("_", "-"), m[0][:-3]) for m in matches)}


@cache
def names() -> dict[str, Entry]:
    """All rules by name."""
    return {e.name: e for e in entries().values()}


def find(code_or_name: str) -> Entry:
    """The rule of a code (`LMP301`, `lmp301`) or a name. Raises UnknownRule."""
    found = entries().get(code_or_name.upper()) or names().get(code_or_name.lower())
    if found is None:
        raise UnknownRule(code_or_name, nearest(code_or_name.lower(), [*names(), *(c.lower() for c in entries())]))
    return found


@dataclass(frozen=True, slots=True)
class Selection:
    """Which findings are wanted. Both hold codes, beginnings of codes (`LMP6`), or names; no *select*: all."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for asked in (*self.select, *self.ignore):
            if not re.fullmatch(r"LMP\d{0,3}", asked.upper()):
                find(asked)

    def wants(self, finding: Diagnostic) -> bool:
        """Errors of the checker always: a policy that doesn't check can't be linted."""
        if finding.code not in entries():
            return True
        return self.takes(entries()[finding.code])

    def takes(self, entry: Entry) -> bool:
        chosen = not self.select or any(_names(asked, entry) for asked in self.select)
        return chosen and not any(_names(asked, entry) for asked in self.ignore)


def _names(asked: str, entry: Entry) -> bool:
    return entry.name == asked.lower() or (asked.upper().startswith("LMP") and entry.code.startswith(asked.upper()))


def rules(selection: Selection) -> Iterable[Rule]:
    """The rules that *selection* takes, in order of code."""
    return [e.load()() for e in entries().values() if selection.takes(e)]
