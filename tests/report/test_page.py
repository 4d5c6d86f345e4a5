"""The page: what it says of made-up runs, that it needs nothing from elsewhere, and that it is the same every time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lamps_cli.errors import Failure
from lamps_cli.report import page
from lamps_cli.report.page import Ran, Report, html
from tests.report.made import COUNTERS, GIVEN_UP, KEPT, TIMELINE, result
from tests.report.test_difference import DIFFERENT

GOLDEN = Path(__file__).parent / "page.html"
_VOID = {"meta", "br", "hr", "img", "input", "link"}


def report(loads: tuple[float | None, ...] = (0.9,)) -> Report:
    ran = [
        Ran(name, load, seed, result(run[0], {**COUNTERS, "preemptions": float(seed)}), TIMELINE)
        for load in loads
        for seed in (0, 1)
        for name, run in (("keep", KEPT), ("<drop>", GIVEN_UP))
    ]
    return Report(
        "keep and <drop> on made",
        {load: f"load {load:g}" if load is not None else "at 1/s" for load in loads},
        ran,
        [("command", "lamps simulate --against '<drop>'")],
        ["Interrupted & partial."],
        [replace(DIFFERENT, other="<drop>", explained=(("keep", "rank\n  a < b"),))],
    )


class _Checker(HTMLParser):
    """Whether tags close as they opened, and what is fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.foreign += [tag] * (tag in ("script", "link", "iframe", "img", "base"))
        self.foreign += [f"{name}={value}" for name, value in attrs if name in ("src", "href") and value[:1] != "#"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def svgs(text: str) -> list[str]:
    return re.findall(r'<svg[^>]*role="img".*?</svg>', text, re.DOTALL)


def test_what_it_says() -> None:
    text = html(report())
    text = text[text.index("<main>") :]
    for drawing in svgs(text):
        text = text.replace(drawing, re.search(r'aria-label="[^"]*"', drawing)[0])  # type: ignore[index]
    assert text == GOLDEN.read_text()


def test_it_needs_nothing_from_elsewhere_and_is_well_formed() -> None:
    text = html(report((0.9, 1.2)))
    checker = _Checker()
    checker.feed(text)
    assert (checker.open, checker.foreign) == ([], [])
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "@import" not in text and "url(http" not in text


def test_it_is_the_same_every_time() -> None:
    assert html(report((0.9, 1.2))) == html(report((0.9, 1.2)))


def test_drawings_follow_the_theme_say_values_and_share_no_id() -> None:
    text = html(report((0.9, 1.2)))
    found = svgs(text)
    # Over load: 4. Each of two loads: 3 distributions, memory and requests of two policies.
    assert len(found) == 4 + 2 * (3 + 2 * 2)
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', text)) <= set(ids)
    for drawing in found:
        root = ET.fromstring(drawing)
        assert root.get("aria-label")
        assert "#fe01" not in drawing
        assert "var(--ink)" in drawing
        assert [e.text for e in root.iter() if e.tag.endswith("title")], "nothing to hover over"
    assert "keep: 50 % within" in text
    assert "preserved: 50 tokens on average" in text


def test_no_sweep_without_several_loads() -> None:
    assert "Over load" not in html(report())
    assert len(svgs(html(report((None,))))) == 7


def test_runs_of_a_server_have_fewer_columns_to_fill() -> None:
    """What `lamps bench` measures: no timeline, no counters, nobody says when a turn started."""
    ran = [
        Ran("server", None, 0, replace(result(KEPT[0], {}), counters=None)),
        Ran("other", None, 0, replace(result(GIVEN_UP[0], {}), counters=None)),
    ]
    text = html(Report("two servers", {None: "at 1/s"}, ran, []))
    assert "Decisions" not in text and "Over time" not in text and "preemptions" not in text
    assert len(svgs(text)) == 3


def test_a_missing_package_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None if name == "matplotlib" else object())
    with pytest.raises(Failure) as failure:
        page.need_packages()
    assert str(failure.value) == "a report needs matplotlib"
    assert failure.value.hint == "pip install 'vllm-lamps[report]'"
