"""How findings look: one golden file per broken policy, and what the renderers do with odd text.

`UPDATE_GOLDEN=1 pytest tests/policy_dsl/test_diagnostics.py` writes the golden files anew: read the difference.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from policy_dsl.diagnostics import codes, concise, full
from policy_dsl.diagnostics.json import as_json
from policy_dsl.diagnostics.model import Diagnostic, Label, Severity, Source, Span
from policy_dsl.loading import load, load_text
from policy_dsl.verify import verify

CORPUS = Path(__file__).with_name("corpus")
GOOD = sorted(CORPUS.glob("ok/*.lamps"))
BROKEN = sorted(CORPUS.glob("err/*.lamps"))


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.stem)
def test_a_good_policy_has_no_findings_and_is_well_typed(path: Path) -> None:
    loaded = load(path)
    assert [concise.render(d) for d in loaded.diagnostics] == []
    assert loaded.policy is not None
    verify(loaded.policy)


@pytest.mark.parametrize("path", BROKEN, ids=lambda p: p.stem)
def test_a_broken_policy_is_explained_as_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)  # where the files are that it is built on
    loaded = load_text(path.read_bytes().decode(), path.name)
    assert loaded.policy is None
    shown = "\n\n".join(full.render(d) for d in loaded.diagnostics) + "\n"
    golden = path.with_suffix(".out")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(shown, encoding="utf-8")
    assert shown == golden.read_text(encoding="utf-8")


def test_every_code_is_listed_and_shown_by_the_corpus() -> None:
    shown = {d.code for path in BROKEN for d in load(path).diagnostics}
    assert shown <= set(codes.TITLES)
    elsewhere = {codes.UNREADABLE, codes.TOO_LARGE, codes.NO_POLICY}  # files that would be unreadable or large
    assert set(codes.TITLES) - shown <= elsewhere | {codes.NO_POLICY}


def finding(text: str, column: int, end: int, message: str = "wrong") -> Diagnostic:
    return Diagnostic("LMP999", Severity.ERROR, message, Span(Source("a.lamps", text), 1, column, 1, end), "here")


def carets(rendered: str) -> tuple[int, int]:
    line = next(x for x in rendered.split("\n") if "^" in x)
    return line.index("^"), line.count("^")


@pytest.mark.parametrize(
    ("text", "column", "end", "start", "length"),
    [
        ("let x = 1", 5, 6, 4, 1),
        ("\tx", 2, 3, 4, 1),
        ("ab\tx", 4, 5, 4, 1),
        ("幅x", 2, 3, 2, 1),
        ("幅幅x", 1, 3, 0, 4),
        ("e\u0301x", 3, 4, 1, 1),
        ("\x1bx", 2, 3, 1, 1),
        ("end", 4, 5, 3, 1),
    ],
)
def test_carets_stand_under_what_they_mean(text: str, column: int, end: int, start: int, length: int) -> None:
    margin = len("1 | ")
    assert carets(full.render(finding(text, column, end))) == (margin + start, length)


def test_nothing_in_a_file_reaches_the_terminal_as_a_control_character() -> None:
    bad = finding("\x1b[31mred\x07", 1, 3, "unknown \x1b[2J")
    for shown in (full.render(bad), concise.render(bad)):
        assert "\x1b" not in shown and "\x07" not in shown


def test_colour_adds_escapes_and_nothing_else() -> None:
    import re

    coloured = full.render(finding("let x", 5, 6), colour=True)
    assert coloured != full.render(finding("let x", 5, 6))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == full.render(finding("let x", 5, 6))


def test_a_long_line_is_cut() -> None:
    shown = full.render(finding("x" * 1000, 900, 905))
    assert max(map(len, shown.split("\n"))) < 200


def test_json_names_every_place() -> None:
    d = finding("let x", 5, 6)
    label = Label(Span(Source("<prelude>", "y"), 1, 1, 1, 2), "there")
    data = json.loads(json.dumps(as_json(Diagnostic(d.code, d.severity, d.message, d.span, "", (label,), "help"))))
    assert data["code"] == "LMP999"
    assert (data["path"], data["line"], data["column"], data["end_line"], data["end_column"]) == ("a.lamps", 1, 5, 1, 6)
    assert data["labels"] == [
        {"path": "<prelude>", "line": 1, "column": 1, "end_line": 1, "end_column": 2, "text": "there"}
    ]


def test_concise_is_one_line() -> None:
    assert concise.render(finding("let x", 5, 6)) == "a.lamps:1:5: LMP999 wrong"
