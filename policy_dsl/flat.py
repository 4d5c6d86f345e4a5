"""A policy with all that it takes over written out: one statement after the other, each with its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Source, Span
from policy_dsl.scope import Definition
from policy_dsl.trails import names_in


@dataclass(frozen=True, slots=True)
class FlatStatement:
    """*text* as it stands at *origin*, without the `override` that put it in the place of another."""

    text: str
    origin: Span


def flatten(statements: Sequence[nodes.Statement], definitions: Mapping[str, Definition]) -> tuple[FlatStatement, ...]:
    """*statements* without tests, in an order in which every name is defined before it is used.

    What overrides stands where its original stood, after what it reads. After the header `lamps 1` the texts
    make a policy that means the same.
    """
    flattener = _Flattener(definitions)
    return tuple(flattener.all(statements))


class _Flattener:
    def __init__(self, definitions: Mapping[str, Definition]) -> None:
        self._definitions = definitions
        self._written: set[str] = set()

    def all(self, statements: Sequence[nodes.Statement]) -> Iterator[FlatStatement]:
        title = [s for s in statements if isinstance(s, nodes.PolicyStatement)]
        for s in (*title, *(s for s in statements if not isinstance(s, nodes.PolicyStatement | nodes.TestStatement))):
            match s:
                case nodes.ParamStatement() | nodes.LetStatement():
                    yield from self._define(s.name.name)
                case nodes.Broken():
                    pass
                case _:
                    yield FlatStatement(text_of(s.span), s.span)

    def _define(self, name: str) -> Iterator[FlatStatement]:
        """The definition of *name* that counts, after those it reads; each once. Nothing of the prelude's own."""
        waiting = [(name, False)]
        while waiting:
            name, ready = waiting.pop()
            known = self._definitions.get(name)
            if known is None or isinstance(known.syntax, nodes.Broken) or (name in self._written and not ready):
                continue
            syntax = known.syntax
            if ready:
                text = text_of(syntax.span)
                if syntax.override and not known.prelude:
                    text = text.removeprefix("override").lstrip()
                if not known.prelude or syntax.override:
                    yield FlatStatement(text, syntax.span)
                continue
            self._written.add(name)
            waiting.append((name, True))
            if isinstance(syntax, nodes.LetStatement):
                local = {a.name for a in syntax.args}
                waiting.extend((n, False) for n in reversed(list(names_in(syntax.value))) if n not in local)


def alone(flat: str, source: Source) -> str:
    """A file that means the same as *source*, of which *flat* is what it takes over written out.

    Its own suppressions stand behind the last rule, where they speak of the whole file: what a policy allows itself (to
    let requests wait for ever) it goes on allowing where it is sent. Those of files it is built on aren't inherited.
    """
    from policy_dsl.lint.suppress import suppressions

    lines = [f"lamps 1\n{flat}"]
    for found in suppressions(source, ()):
        comment = f"# lamps: allow {', '.join(found.rules)} -- {found.reason}"
        if found.verb == "allow" and found.rules and found.reason and comment not in flat:
            lines.append(comment)
    return "\n".join(lines) + "\n"


def text_of(span: Span) -> str:
    """What stands in the file there."""
    return span.text
