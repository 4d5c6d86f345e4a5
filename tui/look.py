"""How things are drawn now: the palette of the theme and the glyphs of the terminal, with the drawings made of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from tui.glyphs import Glyphs, parts, resampled, tall_curve
from tui.themes import Palette


@dataclass(frozen=True, slots=True)
class Look:
    """*faded*: what is shown is of a server that is lost, so all is dim."""

    palette: Palette
    glyphs: Glyphs
    faded: bool = False

    def style(self, name: str) -> str:
        """The colour *name* of the palette ("good", "dim", ...), dim where all is."""
        return self.palette.dim if self.faded else str(getattr(self.palette, name))

    def memory_style(self, use: int) -> str:
        return self.palette.dim if self.faded else self.palette.memory[use]

    def text(self, *pieces: str | tuple[str, str]) -> Text:
        """A line of pieces, each with the name of its colour or without."""
        made = Text(no_wrap=True, overflow="crop", end="")
        for piece in pieces:
            if isinstance(piece, str):
                made.append(piece, self.palette.dim if self.faded else "")
            else:
                words, _, name = (piece[0], "", piece[1])
                weight, _, colour = name.rpartition(" ")
                made.append(words, f"{weight} {self.style(colour)}".strip())
        return made

    def prose(self, *pieces: str | tuple[str, str]) -> Text:
        """The same for sentences, which may be wrapped."""
        made = self.text(*pieces)
        made.no_wrap = False
        return made

    def bar(self, shares: Sequence[float], width: int) -> Text:
        """One stacked bar of KV memory: running, paused, host, cached, free."""
        made = Text(no_wrap=True, end="")
        for use, cells in enumerate(parts(shares, width)):
            made.append(self.glyphs.memory[use] * cells, self.memory_style(use))
        return made

    def curve(self, values: Sequence[float], width: int, height: int, colour: str) -> list[Text]:
        """A curve of *height* rows, from the top; its largest value fills it."""
        rows = tall_curve(values, width, height, self.glyphs.levels)
        return [Text(row, self.style(colour), no_wrap=True, end="") for row in rows]

    def area(self, layers: Sequence[Sequence[float]], uses: Sequence[int], width: int, height: int) -> list[Text]:
        """Stacked curves, *height* rows from the top: each of *layers* has a share of 1 for each moment.

        Every cell shows the use that fills most of it.
        """
        columns = [resampled(layer, width) for layer in layers]
        length = len(columns[0]) if columns else 0
        tops = [[math.fsum(layer[x] for layer in columns[: n + 1]) for n in range(len(columns))] for x in range(length)]
        rows = []
        for y in range(height):
            middle = (height - y - 0.5) / height
            row = Text(" " * (width - length), no_wrap=True, end="")
            for x in range(length):
                use = next((uses[n] for n, top in enumerate(tops[x]) if middle < top), uses[-1])
                row.append(self.glyphs.memory[use], self.memory_style(use))
            rows.append(row)
        return rows

    def share(self, share: float, width: int, colour: str) -> Text:
        """A bar that is filled by *share* of 1."""
        full = min(max(round(share * width), 0), width)
        made = Text(self.glyphs.memory[0] * full, self.style(colour), no_wrap=True, end="")
        return made.append(self.glyphs.memory[4] * (width - full), self.style("dim"))
