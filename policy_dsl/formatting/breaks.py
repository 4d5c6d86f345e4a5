"""Where a line may break between brackets: at which tokens, and which of them first."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl.formatting.pieces import Item, Tok, first_token

# Levels, weakest first. A break is before the one kind of token, after the other: a line that begins with a
# minus would look like a new value, and one that begins with a comma like nothing at all.
_BEFORE = {"BY": 0, "WHEN": 0, "THEN": 0, "OR": 2, "AND": 3, "CMP": 4, "LE": 4, "PLUS": 5, "STAR": 7, "SLASH": 7}
_AFTER = {"COMMA": 1, "MINUS": 6}
_KEPT = (0, 1, 2, 3, 5)  # a break that the author made at these stays


def _places(item: Item, level: int | None) -> Iterator[tuple[int, int]]:
    """Level and index of each place where *item* may break (at *level* only): the break is before that index."""
    for i, node in enumerate(item):
        if not isinstance(node, Tok):
            continue
        before, after = _BEFORE.get(node.type), _AFTER.get(node.type)
        if before is not None and i > 0 and level in (None, before):
            yield before, i
        if after is not None and i + 1 < len(item) and level in (None, after):
            yield after, i + 1


def weakest(item: Item) -> int | None:
    """The level at which *item* breaks first; None where it has no place to break."""
    return min((level for level, _ in _places(item, None)), default=None)


def parts(item: Item, level: int) -> Iterator[Item]:
    """*item* broken at all places of *level*."""
    start = 0
    for _, i in _places(item, level):
        yield item[start:i]
        start = i
    yield item[start:]


def kept(item: Item) -> bool:
    """Whether the author broke *item* at its weakest level, where that is his to choose."""
    level = weakest(item)
    return level in _KEPT and any(first_token(item[i:]).first for _, i in _places(item, level))


def hang(item: Item, level: int) -> bool:
    """Whether what follows a break stands below the operand of *item*, not below the sign it begins with."""
    begins = first_token(item).type
    return level in _AFTER.values() and (begins == "EQUAL" or begins in _BEFORE)
