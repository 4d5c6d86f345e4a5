"""The few words the layout knows: where the first column of an item ends, and which lines are tables."""

from __future__ import annotations

from policy_dsl.formatting.pieces import Group, Item, Tok, first_token, flat

# What an item may begin with that is no statement's word: nothing is aligned behind these.
_NO_WORD = {
    "NAME", "PATH", "HANDLING", "STRING", "NUMBER", "QUANTITY", "NEG", "NOT", "IF", "MATCH", "LEAST", "ANY", "AGAIN",
    "TRUE", "FALSE",
}  # fmt: skip
Cell = tuple[str, str]  # the tag before it, its text


def head_of(item: Item) -> tuple[int, str]:
    """How many nodes stand in the first column, and the tag behind them; "" when no other item shares the column.

    Of a definition what stands before `=`, of an entry what stands up to `:`, else the statement's word.
    """
    for i, node in enumerate(item):
        if isinstance(node, Tok) and node.type == "EQUAL":
            return i, "" if isinstance(item[i - 1], Group) else _kind(item)
        if isinstance(node, Tok) and node.type == "COLON":
            return i + 1, ":"
    first = first_token(item)
    return int(first is item[0] and first.type not in _NO_WORD and first.text != "handling"), ""


def _kind(item: Item) -> str:
    words = [node.text for node in item[:2] if isinstance(node, Tok)]
    return words[-1] if words[0] == "override" else words[0]


def table(item: Item, head: int, tag: str) -> list[Cell]:
    """An item on one line, in cells."""
    kind, last = _kind(item), item[-1]
    if kind in ("param", "hint"):
        begins = next((i for i, n in enumerate(item) if isinstance(n, Tok) and n.type == "IN"), len(item))
        range_ = [("range", flat(item[begins:]))] if item[begins:] else []
        return [("", flat(item[:head])), (tag, flat(item[head:begins])), *range_]
    if isinstance(last, Group) and _has_fields(last) and head <= 1:
        return [*_subject(item[:-1]), *_fields(last)]
    if not head or not tag:
        return [("", flat(item))]
    return [("", flat(item[:head])), *([(tag, flat(item[head:]))] if item[head:] else [])]


def _subject(item: Item) -> list[Cell]:
    """What stands before the fields: `request slow`, or `class chat` and its condition (none: an empty cell)."""
    if _kind(item) != "class":
        return [("", flat(item))]
    begins = next((i for i, n in enumerate(item) if isinstance(n, Tok) and n.type == "WHEN"), len(item))
    return [("", flat(item[:begins])), ("when", flat(item[begins:]) if item[begins:] else "")]


def _has_fields(group: Group) -> bool:
    """Whether these braces hold `name: value` and nothing else."""
    return group.braces and all(
        len(entry) > 1
        and isinstance(entry[0], Tok)
        and entry[0].type in ("NAME", "PATH")
        and isinstance(entry[1], Tok)
        and entry[1].type == "COLON"
        for entry in group.entries
    )


def _fields(group: Group) -> list[Cell]:
    """One cell a field, with its name as the tag behind it: fields of the same name share a column."""
    if not group.entries:
        return [("{", "{}")]
    cells = []
    tag, before = "{", "{ "
    for i, entry in enumerate(group.entries):
        after = " }" if i == len(group.entries) - 1 else ","
        cells.append((tag, before + flat(entry) + after))
        tag, before = f"field {first_token(entry).text}", ""
    return cells
