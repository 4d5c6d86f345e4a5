"""Drawings of matplotlib made fit for a page: colours that follow its theme, values to hover over, no stray ids.

A drawing is made with stand-in colours (`stand_in`), which become CSS variables of the page; text stays text. What a
mark says when the mouse rests on it is its `gid`.
"""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
SAYS = "says:"
"""Before the text that a mark says, in its gid."""
# Stand-ins that no drawing has by itself.
_VARIABLES = (
    "ink", "grid", "running", "preserved", "free", "waiting", "paused",
    "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7",
)  # fmt: skip
POLICY_COLOURS = 8


@dataclass(frozen=True, slots=True)
class Themed:
    """CSS for either setting of the reader."""

    light: str
    dark: str


LINES = Themed(
    "--p0: #0b62b0; --p1: #c4500a; --p2: #0a7d5c; --p3: #a1266f; --p4: #6b4fc9; --p5: #8a6a00;"
    " --p6: #2f7f95; --p7: #555;",
    "--p0: #5aaef5; --p1: #ff9a56; --p2: #3fcaa0; --p3: #f07fbf; --p4: #ab97ff; --p5: #dcb93c;"
    " --p6: #6ac5dc; --p7: #b5b5b5;",
)
"""The colours of lines, those of policies."""
PAGE = Themed("--page: #fff; --ink: #1c2024; --grid: #dfe3e6;", "--page: #14171a; --ink: #e4e8eb; --grid: #333a40;")
RC: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "lamps",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "path.simplify": True,
    "figure.constrained_layout.use": True,
}


def stand_in(variable: str) -> str:
    """The colour to draw with where the page's *variable* is meant."""
    return f"#fe01{_VARIABLES.index(variable):02x}"


def themed_rc() -> Any:
    """Settings of matplotlib under which everything that matplotlib draws by itself is in the page's colours."""
    ink, grid = stand_in("ink"), stand_in("grid")
    coloured = {"axes.edgecolor": ink, "axes.labelcolor": ink, "text.color": ink, "xtick.color": ink}
    return {**RC, **coloured, "ytick.color": ink, "grid.color": grid}


def inline(figure: Figure, label: str, key: str) -> str:
    """The SVG element of *figure*. *label*: what it shows, for those who don't see it; *key*: unique on the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    root = ET.fromstring(out.getvalue())
    for child in list(root):
        if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}title"):
            root.remove(child)
    _say(root)
    _rename(root, key)
    for element in root.iter():
        for attribute in element.attrib.keys() & {"d", "x", "y", "transform"}:
            # A tenth of a point is finer than any screen.
            element.set(attribute, re.sub(r"(\d\.\d)\d+", r"\1", element.attrib[attribute]))
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", label)
    text = ET.tostring(root, encoding="unicode")
    for number, name in enumerate(_VARIABLES):
        text = text.replace(f"#fe01{number:02x}", f"var(--{name})")
    text = re.sub(
        r"font: [\d.]+px [^;\"]*", lambda m: m[0].split(" ")[0] + " " + m[0].split(" ")[1] + " sans-serif", text
    )
    return re.sub(r"\s*\n\s*", " ", text)


def standalone(element: str) -> str:
    """A file of its own for an SVG element that `inline` gave: with its page's colours, and the page behind it."""
    style = (
        f":root {{ {PAGE.light} {LINES.light} }}"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {PAGE.dark} {LINES.dark} }} }}"
    )
    behind = f'<style>{style}</style><rect width="100%" height="100%" fill="var(--page)"/>'
    opening, rest = element.split(">", 1)
    return f"{opening}>{behind}{rest}\n"


def _say(root: ET.Element) -> None:
    """Give every mark whose id says something a title."""
    for element in root.iter():
        said = element.attrib.get("id", "")
        if said.startswith(SAYS):
            del element.attrib["id"]
            title = ET.Element(f"{{{_SVG}}}title")
            title.text = said.removeprefix(SAYS)
            element.insert(0, title)


def _rename(root: ET.Element, key: str) -> None:
    """Keep the ids that something refers to, under names of this drawing's own."""
    text = ET.tostring(root, encoding="unicode")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in used:
            element.set("id", f"{key}-{name}")
        for attribute, value in list(element.attrib.items()):
            if attribute == _HREF:
                del element.attrib[_HREF]
                element.set("href", f"#{key}-{value[1:]}")
            elif "url(#" in value:
                element.set(attribute, value.replace("url(#", f"url(#{key}-"))
