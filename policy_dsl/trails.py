"""The way from a rule, through lets and functions, to what it must not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields

from policy_dsl import nodes
from policy_dsl.scope import Definition

Definitions = Mapping[str, Definition]


def children(syntax: nodes.Syntax) -> Iterator[nodes.Syntax]:
    """The nodes directly below *syntax*."""
    for f in fields(syntax):
        match getattr(syntax, f.name):
            case nodes.Syntax() as child:
                yield child
            case tuple() as several:
                yield from (item for item in several if isinstance(item, nodes.Syntax))


def names_in(syntax: nodes.Syntax) -> Iterator[str]:
    """The names that *syntax* mentions, of arguments too, in the order they are written."""
    waiting = [syntax]
    while waiting:
        node = waiting.pop()
        match node:
            case nodes.Name(name=name):
                yield name
            case nodes.Apply(function=function):
                yield function.name
        waiting.extend(reversed(list(children(node))))


def trail(start: nodes.Syntax, wanted: Callable[[nodes.Syntax], bool], definitions: Definitions) -> list[str] | None:
    """Names of the lets that lead from *start* to a node that is *wanted*; empty: it stands there itself."""
    return _trail(start, wanted, definitions, set())


def _trail(
    start: nodes.Syntax, wanted: Callable[[nodes.Syntax], bool], definitions: Definitions, seen: set[str]
) -> list[str] | None:
    waiting = [start]
    mentioned = []
    while waiting:
        node = waiting.pop()
        if wanted(node):
            return []
        match node:
            case nodes.Name(name=name) | nodes.Apply(function=nodes.Ident(name=name)) if name not in seen:
                mentioned.append(name)
        waiting.extend(reversed(list(children(node))))
    for name in mentioned:
        known = definitions.get(name)
        if known is None or name in seen or not isinstance(known.syntax, nodes.LetStatement):
            continue
        seen.add(name)
        found = _trail(known.syntax.value, wanted, definitions, seen)
        if found is not None:
            return [name, *found]
    return None


def shown(steps: list[str]) -> str:
    return " -> ".join(f"`{step}`" for step in steps)
