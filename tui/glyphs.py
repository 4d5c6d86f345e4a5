"""Numbers, bars and curves as characters: Unicode where the terminal has it, plain ASCII where asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """*memory*: how running, paused, host, cached and free memory are drawn, so that colour isn't the only sign."""

    memory: tuple[str, str, str, str, str]
    levels: str
    dot: str
    ahead: str
    on: str
    off: str
    ellipsis: str
    up: str
    down: str
    play: str
    pause: str
    rule: str
    plus_minus: str


# Columns that one moment takes at most, where there are few.
WIDEST = 5
UNICODE = Glyphs(("█", "▓", "▒", "░", "·"), " ▁▂▃▄▅▆▇█", "•", "→", "●", "○", "…", "▲", "▼", "▶", "‖", "─", "±")
ASCII = Glyphs(("#", "%", "=", "-", "."), " .:-=+*#@", "*", "->", "*", "o", "~", "^", "v", ">", "||", "-", "+-")


def seconds(value: float | None) -> str:
    """At most six characters: 12 ms, 3.4 s, 45 s, 12 min, 3.1 h."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size < 0.0005:
        return "0 s"
    if size < 0.9995:
        return f"{value * 1000:.0f} ms"
    if size < 9.95:
        return f"{value:.1f} s"
    if size < 99.5:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if size < 5970 else f"{value / 3600:.1f} h"


def count(value: float | None) -> str:
    """At most six characters: 812, 12.4k, 3.1M."""
    if value is None or not math.isfinite(value):
        return "-"
    size = abs(value)
    if size < 9999.5:
        return f"{value:,.0f}" if size >= 9.95 or value == int(value) else f"{value:.1f}"
    for bound, unit, scale in ((999_500, "k", 1e3), (999.5e6, "M", 1e6), (999.5e9, "G", 1e9)):
        if size < bound:
            scaled = value / scale
            return f"{scaled:.0f}{unit}" if abs(scaled) >= 99.5 else f"{scaled:.1f}{unit}"
    return f"{value:.1e}"


def share(part: float | None) -> str:
    """A part of 1 as per cent."""
    return "-" if part is None else f"{part:.0%}"


def value(given: float | bool | str | None) -> str:
    """A value of any kind: a term of a rank, a signal."""
    match given:
        case None:
            return "inf"
        case bool():
            return "yes" if given else "no"
        case str():
            return given or '""'
        case _ if given == int(given) and abs(given) < 1e5:
            return f"{given:,.0f}"
        case _:
            return f"{given:.4g}" if abs(given) < 1e5 else count(given)


def clock(at_s: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    whole = max(int(at_s), 0)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """*text* in at most *width* characters."""
    return text if len(text) <= width else text[: max(width - len(ellipsis), 0)] + ellipsis[: max(width, 0)]


def fit_name(name: str, width: int, ellipsis: str = "…") -> str:
    """*name* in at most *width* characters, what is too much taken from its middle: names of a kind begin alike."""
    room = width - len(ellipsis)
    if len(name) <= width or room < 4:
        return fit(name, width, ellipsis)
    first = room // 3
    return name[:first] + ellipsis + name[len(name) - (room - first) :]


def tall_curve(values: Sequence[float], width: int, height: int, levels: str) -> list[str]:
    """A curve that is *height* rows high, from the top."""
    shown, last = resampled(values, width), len(levels) - 1
    most = max(shown, default=0.0)
    cells = [max(math.ceil(v / most * last * height), 1) if v > 0 and most > 0 else 0 for v in shown]
    rows = range(height - 1, -1, -1)
    return ["".join(levels[min(max(cell - row * last, 0), last)] for cell in cells).rjust(width) for row in rows]


def resampled(values: Sequence[float], width: int) -> list[float]:
    """At most *width* values, each the largest of those it stands for; few ones are made wider.

    What a column stands for begins at a multiple of how many that are, so that it doesn't change when a value is added.
    """
    size = max(len(values) // max(width, 1), 1)
    columns = [max(values[i : i + size]) for i in range(0, len(values), size)][-width:]
    wide = min(width // max(len(columns), 1), WIDEST)
    return [value for value in columns for _ in range(wide)] if wide > 1 else columns


def parts(shares: Sequence[float], width: int) -> list[int]:
    """*width* cells shared out by *shares* of 1: largest remainders first, and whatever is there has at least one."""
    exact = [max(share, 0.0) * width for share in shares]
    cells = [max(int(x), 1) if x > 0 else 0 for x in exact]
    order = sorted(range(len(exact)), key=lambda i: exact[i] - cells[i], reverse=True)
    missing = width - sum(cells)
    for i in order:
        if missing > 0 and exact[i] > 0:
            cells[i] += 1
            missing -= 1
    while missing < 0:
        widest = max(range(len(cells)), key=cells.__getitem__)
        cells[widest] -= 1
        missing += 1
    if missing > 0 and any(exact):
        cells[max(range(len(exact)), key=exact.__getitem__)] += missing
    return cells
