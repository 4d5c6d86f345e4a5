"""The way from a rule, through lets and functions, to what it must not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Label
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


@dataclass(frozen=True, slots=True)
class Found:
    """*names* of the lets that lead to *node*; none where it stands in the rule itself."""

    names: tuple[str, ...]
    node: nodes.Syntax


def find(start: nodes.Syntax, wanted: Callable[[nodes.Syntax], bool], definitions: Definitions) -> Found | None:
    """The first node below *start*, or in a let that it reads, that is *wanted*."""
    return _find(start, wanted, definitions, set())


def _find(
    start: nodes.Syntax, wanted: Callable[[nodes.Syntax], bool], definitions: Definitions, seen: set[str]
) -> Found | None:
    waiting = [start]
    mentioned = []
    while waiting:
        node = waiting.pop()
        if wanted(node):
            return Found((), node)
        match node:
            case nodes.Name(name=name) | nodes.Apply(function=nodes.Ident(name=name)):
                mentioned.append(name)
        waiting.extend(reversed(list(children(node))))
    for name in mentioned:
        known = definitions.get(name)
        if known is None or name in seen or not isinstance(known.syntax, nodes.LetStatement):
            continue
        seen.add(name)
        found = _find(known.syntax.value, wanted, definitions, seen)
        if found is not None:
            return Found((name, *found.names), found.node)
    return None


def way_to_handling(start: nodes.Syntax, first: str, definitions: Definitions) -> str:
    """`admit -> gate -> handling`: how a rule comes to read `handling`."""
    found = find(start, lambda n: isinstance(n, nodes.Foreseen), definitions)
    return " -> ".join(f"`{step}`" for step in (first, *(found.names if found is not None else ()), "handling"))


def read_here(start: nodes.Expr, key: str, definitions: Definitions) -> tuple[Label, ...]:
    """A label where a let that *start* reads has the signal behind *key*; none where *start* has it itself."""
    signal = ".".join(key.split(".")[:2])

    def wanted(node: nodes.Syntax) -> bool:
        return isinstance(node, nodes.Path) and (node.path == key or node.path.startswith(signal))

    found = find(start, wanted, definitions)
    return () if found is None or found.node is start else (Label(found.node.span, "read here"),)
