"""Suppressions: `# lamps: allow unbounded-wait -- batch jobs may wait for ever`.

Behind a statement it speaks of its line, alone on a line of the statement below it, behind the last
rule (tests aside) of the whole file. It names rules
(by name or code) and gives a reason: without one it does nothing. It holds for this file only, so
nothing is inherited, and errors can't be allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Edit, Fix, Severity, Source, Span
from policy_dsl.lint import registry

UNUSED, MALFORMED = "LMP690", "LMP691"
_STRINGS = re.compile(r'"[^"\n]*"')
_ALLOW = re.compile(r"#\s*lamps:\s*(?P<verb>[\w-]*)\s*(?P<names>.*?)(?:\s*--\s*(?P<reason>.*))?$")


@dataclass(frozen=True, slots=True)
class Suppression:
    """*lines*: the first and last line it speaks of. *reason* is "" where none is given."""

    rules: tuple[str, ...]
    reason: str
    lines: tuple[int, int]
    span: Span
    verb: str


def suppressions(source: Source, statements: Sequence[nodes.Statement]) -> list[Suppression]:
    """All suppressions of a file, well formed or not."""
    found = []
    lines = source.text.split("\n")
    for number, line in enumerate(lines, 1):
        at = _STRINGS.sub(lambda m: " " * len(m[0]), line).find("#")
        match = _ALLOW.match(line[at:]) if at >= 0 else None
        if match is None:
            continue
        span = Span(source, number, at + 1, number, len(line.rstrip()) + 1)
        names = tuple(n for n in re.split(r"[,\s]+", match["names"]) if n)
        reach = (number, number) if line[:at].strip() else _below(number, statements, len(lines))
        found.append(Suppression(names, (match["reason"] or "").strip(), reach, span, match["verb"]))
    return found


def _below(number: int, statements: Sequence[nodes.Statement], last: int) -> tuple[int, int]:
    """The lines of the statement under line *number*, or the next line inside one, or behind all rules the file's."""
    for s in statements:
        if s.span.end_line >= number and not isinstance(s, nodes.TestStatement):
            return (number + 1, number + 1) if s.span.line < number else (s.span.line, s.span.end_line)
    return 1, last


def apply(
    found: Iterable[Diagnostic], allows: Sequence[Suppression], selection: registry.Selection
) -> Iterator[Diagnostic]:
    """*found* without what is allowed, and what is wrong with the suppressions."""
    good = [a for a in allows if a.reason and a.verb == "allow" and a.rules]
    used: set[tuple[int, str]] = set()
    for finding in found:
        hits = [(a, name) for a in good for name in a.rules if _covers(a, name, finding)]
        used.update((id(a), name) for a, name in hits)
        if not hits:
            yield finding
    for a in allows:
        wrong = list(_wrong(a))
        yield from wrong
        if not wrong:
            unused = [n for n in a.rules if (id(a), n) not in used and selection.takes(registry.find(n))]
            if unused:
                yield _unused(a, unused)


def waives(allows: Iterable[Suppression], rule: str) -> Suppression | None:
    """The suppression that allows *rule* (a name) somewhere in the file."""
    known = registry.names()[rule]
    return next((a for a in allows if a.reason and (known.name in a.rules or known.code in a.rules)), None)


def _covers(a: Suppression, name: str, finding: Diagnostic) -> bool:
    entry = registry.entries().get(finding.code)
    if entry is None or name not in (entry.name, entry.code) or finding.span.source.path != a.span.source.path:
        return False
    first, last = a.lines
    return finding.span.line <= last and finding.span.end_line >= first


def _wrong(a: Suppression) -> Iterator[Diagnostic]:
    def said(message: str, help: str) -> Diagnostic:
        return Diagnostic(MALFORMED, Severity.WARNING, message, a.span, help=help)

    if a.verb != "allow" or not a.rules:
        yield said("this comment allows nothing", "write `# lamps: allow RULE -- why`")
        return
    for name in a.rules:
        try:
            registry.find(name)
        except registry.UnknownRule as unknown:
            near = " or ".join(f"`{n}`" for n in unknown.near)
            help = f"did you mean {near}?" if near else "`lamps rule --all` lists the rules"
            yield said(f"there is no rule `{name}`", help)
    if not a.reason:
        yield said("this suppression gives no reason, so it does nothing", "write ` -- ` and the reason behind it")


def _unused(a: Suppression, names: list[str]) -> Diagnostic:
    fix = None
    if len(names) == len(a.rules):
        line = a.span.source.line(a.span.line)
        before = line[: a.span.column - 1].rstrip()
        last = a.span.line == a.span.source.text.count("\n") + 1
        span = Span(a.span.source, a.span.line, len(before) + 1, a.span.line, len(line) + 1)
        if not before and not last:
            span = Span(a.span.source, a.span.line, 1, a.span.line + 1, 1)
        fix = Fix("remove the suppression", (Edit(span, ""),))
    message = f"nothing here needs `allow {', '.join(names)}`"
    return Diagnostic(UNUSED, Severity.WARNING, message, a.span, help="remove it", fix=fix)
