"""Linting: the findings of all rules on a policy that checks, suppressions applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint import registry, suppress
from policy_dsl.lint.subject import Subject
from policy_dsl.loading import Loaded, load_text

MOST_ROUNDS = 10  # of fixes: each may make the next one possible


@dataclass(frozen=True, slots=True)
class Linted:
    """*findings* by place, those of the checker included. *overtaking*: the starvation verdict in a sentence."""

    findings: tuple[Diagnostic, ...]
    overtaking: str


def lint(loaded: Loaded, selection: registry.Selection | None = None) -> Linted:
    """All findings on *loaded*. Rules speak only of a policy without errors."""
    selection = selection or registry.Selection()
    if loaded.policy is None:
        return Linted(loaded.diagnostics, "")
    subject = Subject(loaded.source, loaded.statements, loaded.policy)
    allows = suppress.suppressions(loaded.source, loaded.statements)
    found = suppress.apply(_checked(subject, selection), allows, selection)
    every = [*loaded.diagnostics, *(f for f in found if selection.wants(f))]
    every.sort(key=lambda d: (d.span.line, d.span.column, d.code))
    return Linted(tuple(every), _verdict(subject, allows))


def _checked(subject: Subject, selection: registry.Selection) -> Iterator[Diagnostic]:
    seen = set()
    for rule in registry.rules(selection):
        for finding in rule.check(subject):
            if finding not in seen and subject.owns(finding.span):
                seen.add(finding)
                yield finding


def _verdict(subject: Subject, allows: list[suppress.Suppression]) -> str:
    verdict = subject.overtaking
    waived = suppress.waives(allows, "unbounded-wait") if verdict.word == "unproved" else None
    if waived is not None:
        return f"waived: {waived.reason}"
    return f"{verdict}: {verdict.sentence}"


def fix(loaded: Loaded, selection: registry.Selection | None = None) -> tuple[str, int]:
    """The text of *loaded* with all certain fixes made, and how many. A round that breaks the policy is undone."""
    from policy_dsl.lint.fix import fixed

    total = 0
    for _ in range(MOST_ROUNDS):
        if loaded.policy is None:
            break
        text, count = fixed(loaded.source, lint(loaded, selection).findings)
        after = load_text(text, loaded.source.path)
        if not count or after.policy is None:
            break
        loaded, total = after, total + count
    return loaded.source.text, total
