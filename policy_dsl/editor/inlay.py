"""What an editor writes between the words of a policy: the unit of each `let`."""

from __future__ import annotations

from dataclasses import dataclass

from policy_dsl import nodes
from policy_dsl.editor.document import Document


@dataclass(frozen=True, slots=True)
class Inlay:
    """*text* belongs behind the character at *column* - 1."""

    line: int
    column: int
    text: str


def inlays(doc: Document, first_line: int, last_line: int) -> list[Inlay]:
    """`: tokens` behind the name of each let in these lines; behind the arguments of a function."""
    found = []
    for s in doc.loaded.statements:
        if isinstance(s, nodes.LetStatement) and first_line <= s.span.line <= last_line:
            type_ = doc.loaded.types.get(s.name.name)
            if type_ is not None:
                line, column = _behind(doc, s)
                found.append(Inlay(line, column, f": {type_}"))
    return found


def _behind(doc: Document, s: nodes.LetStatement) -> tuple[int, int]:
    """The end of the name, or of the `)` behind its arguments."""
    end = s.args[-1].span if s.args else s.name.span
    place = (end.end_line, end.end_column)
    if s.args:
        close = next((t for t in doc.tokens if t.type == "RPAR" and (t.line or 1, t.column or 1) >= place), None)
        if close is not None:
            return close.end_line or 1, close.end_column or 1
    return place
