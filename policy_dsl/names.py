"""Did you mean: the known names nearest to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(wrong: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to *limit* names of *known* within a third of the word's length, nearest first.

    For dotted names the last part alone may match (`arrival` finds `request.arrival`).
    """
    room = max(1, len(wrong) // 3)
    found = []
    for name in dict.fromkeys(known):
        far = distance(wrong, name, room)
        if far > room and name.rpartition(".")[2] == wrong.rpartition(".")[2]:
            far = room
        if far <= room and far < len(wrong):
            found.append((far, name))
    return [name for _, name in sorted(found)[:limit]]


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A help text, or "" when nothing is near."""
    names = [f"`{n}`" for n in nearest(wrong, known)]
    if not names:
        return ""
    return "did you mean " + (names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]) + "?"


def distance(a: str, b: str, at_most: int) -> int:
    """Edits (insert, delete, replace, swap of neighbours) from *a* to *b*; `at_most + 1` when there are more."""
    if abs(len(a) - len(b)) > at_most:
        return at_most + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row, older = row, [i], before
        for j, y in enumerate(b, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                best = min(best, older[j - 2] + 1)
            row.append(best)
        if min(row) > at_most:
            return at_most + 1
        before = last
    return min(row[-1], at_most + 1)
