"""Lines to text: columns of neighbouring lines and the comments behind them are aligned.

A line is a list of cells. Between two cells stands a tag; neighbouring lines whose tags are the same up to
a cell have that cell in one column (elastic tab stops). A column that would push a line over the width is
aligned only within each item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

WIDTH = 110  # of the code; a comment behind it may stand out


@dataclass(slots=True)
class Line:
    """*tags* has one element less than *cells*. *item* numbers the statement or entry it belongs to."""

    indent: int
    item: int
    cells: list[str] = field(default_factory=lambda: [""])
    tags: list[str] = field(default_factory=list)
    comment: str = ""  # behind the code
    blank: bool = False  # an empty line before it

    @property
    def code(self) -> str:
        return " " * self.indent + _joined(self.cells)

    @property
    def only_comment(self) -> bool:
        return self.cells[-1].lstrip().startswith("#")


def _joined(cells: Sequence[str]) -> str:
    """Cells with a space between; one that is empty to the last place (a column nobody uses) has none."""
    return " ".join(cell for cell in cells[:-1] if cell) + (" " if any(cells[:-1]) else "") + cells[-1]


def render(lines: list[Line]) -> str:
    """The text of *lines*, with a newline at its end."""
    for run in _runs(lines, lambda line: line.blank):
        _align(run, 0)
    for run in _runs(lines, lambda line: line.blank or line.only_comment):
        _align_comments([line for line in run if line.comment])
    text = []
    for line in lines:
        text.append("\n" if line.blank else "")
        text.append(f"{line.code}{line.comment}".rstrip() + "\n")
    return "".join(text)


def _runs(lines: list[Line], starts: Callable[[Line], bool]) -> Iterator[list[Line]]:
    run: list[Line] = []
    for line in lines:
        if run and starts(line):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _align(run: list[Line], cell: int) -> None:
    """Brings cell number *cell* of the lines that have one behind it to one width, then the cells after it."""
    for (tags, _), group in groupby(run, key=lambda line: (line.tags[: cell + 1], line.indent)):
        lines = list(group)
        if len(tags) <= cell:
            continue
        if not _widen(lines, cell):
            for _, of_item in groupby(lines, key=lambda line: line.item):
                _widen(list(of_item), cell)
        _align(lines, cell + 1)


def _widen(lines: list[Line], cell: int) -> bool:
    """Pads the cells to the widest; if that makes a line too long, and they are of several items, it does not."""
    width = max(len(line.cells[cell]) for line in lines)
    if len({line.item for line in lines}) > 1:
        for line in lines:
            wider = len(line.code) + width - len(line.cells[cell]) + (not line.cells[cell])
            if wider > WIDTH >= len(line.code):
                return False
    for line in lines:
        line.cells[cell] = line.cells[cell].ljust(width)
    return True


def _align_comments(lines: list[Line]) -> None:
    """Comments of one paragraph stand in one column, in two or more where one would push them over the width."""
    group: list[Line] = []
    column, last = 0, WIDTH  # where the comments of *group* begin, and the last column they could
    for line in lines:
        own = len(line.code) + 2
        latest = WIDTH - len(line.comment)
        if latest < own:
            latest = WIDTH  # too long in any case: no reason to part
        if group and max(column, own) > min(last, latest):
            _pad(group, column)
            group, column, last = [], 0, WIDTH
        group.append(line)
        column, last = max(column, own), min(last, latest)
    _pad(group, column)


def _pad(group: list[Line], column: int) -> None:
    for line in group:
        line.comment = " " * (column - len(line.code)) + line.comment
