"""Colours: dark, light, and for each one that people with any kind of colour vision can tell apart (Okabe and Ito's).

Colour is never the only sign: memory has a pattern of its own for each use, states have words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.theme import Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """*memory*: running, paused, host, cached, free."""

    name: str
    dark: bool
    background: str
    surface: str
    text: str
    dim: str
    accent: str
    good: str
    warn: str
    bad: str
    memory: tuple[str, str, str, str, str]
    selected: str


_PALETTES = (
    Palette(
        name="lamps-dark",
        dark=True,
        background="#14161b",
        surface="#1c1f26",
        selected="#2c3442",
        text="#d8dce4",
        dim="#7b8496",
        accent="#e8b04b",
        good="#6cc08b",
        warn="#e8b04b",
        bad="#e5707a",
        memory=("#5aa7e0", "#e8b04b", "#b48be0", "#4f6a85", "#3a404c"),
    ),
    Palette(
        name="lamps-light",
        dark=False,
        background="#fbfaf7",
        surface="#f0eee8",
        selected="#dfe6f0",
        text="#23262d",
        dim="#767b86",
        accent="#9a5b00",
        good="#1d7a43",
        warn="#9a5b00",
        bad="#b3202c",
        memory=("#1f6fb2", "#c97b00", "#7a4bb3", "#8fb0cc", "#c9ccd2"),
    ),
    Palette(
        name="lamps-safe-dark",
        dark=True,
        background="#101216",
        surface="#191c22",
        selected="#2a3340",
        text="#e6e6e6",
        dim="#8d939e",
        accent="#56b4e9",
        good="#56b4e9",
        warn="#f0e442",
        bad="#d55e00",
        memory=("#0072b2", "#e69f00", "#cc79a7", "#7fb8d8", "#4a4f59"),
    ),
    Palette(
        name="lamps-safe-light",
        dark=False,
        background="#ffffff",
        surface="#f2f2f2",
        selected="#dce8f2",
        text="#1a1a1a",
        dim="#6b6f76",
        accent="#0072b2",
        good="#0072b2",
        warn="#a35d00",
        bad="#b84a00",
        memory=("#0072b2", "#e69f00", "#cc79a7", "#7fb8d8", "#c4c7cc"),
    ),
)
PALETTES = {palette.name: palette for palette in _PALETTES}
DEFAULT = "lamps-dark"


def theme_of(palette: Palette) -> Theme:
    """*palette* as Textual wants it."""
    from textual.theme import Theme

    return Theme(
        name=palette.name,
        primary=palette.accent,
        secondary=palette.memory[0],
        accent=palette.accent,
        foreground=palette.text,
        background=palette.background,
        surface=palette.surface,
        panel=palette.surface,
        success=palette.good,
        warning=palette.warn,
        error=palette.bad,
        dark=palette.dark,
        variables={
            "footer-key-foreground": palette.accent,
            "footer-background": palette.surface,
            "border": palette.dim,
            "block-cursor-background": palette.selected,
            "block-cursor-foreground": palette.text,
            "scrollbar": palette.dim,
            "scrollbar-background": palette.background,
        },
    )
