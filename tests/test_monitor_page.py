"""docs/monitor.md names every screen, code of advice, and key that asks something of a server."""

from __future__ import annotations

import re
from pathlib import Path

import tui.advice
from tui.keys import POLICY_BINDINGS
from tui.views.catalogue import VIEWS

PAGE = (Path(__file__).parent.parent / "docs" / "monitor.md").read_text(encoding="utf-8")


def test_every_code_of_advice_is_on_the_page_and_no_other() -> None:
    source = Path(tui.advice.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'"(TOP\d+)"', source))
    assert len(codes) == len(tui.advice.RULES)
    assert codes == set(re.findall(r"TOP\d+", PAGE))


def test_every_screen_is_on_the_page_under_its_number() -> None:
    for number, view in enumerate(VIEWS.values(), 1):
        assert f"| {number} | {view.title} |" in PAGE


def test_what_a_server_can_be_told_is_on_the_page() -> None:
    for binding in POLICY_BINDINGS:
        assert f"| `{binding.key}` |" in PAGE  # type: ignore[union-attr]


def test_every_picture_is_shown_and_is_there() -> None:
    docs = Path(__file__).parent.parent / "docs"
    shown = set(re.findall(r"pictures/(\w+)\.svg", PAGE + (docs.parent / "README.md").read_text(encoding="utf-8")))
    made = set(re.findall(r'Picture\("(\w+)"', (docs / "pictures.py").read_text(encoding="utf-8")))
    assert shown == made == {path.stem for path in (docs / "pictures").glob("*.svg")}
