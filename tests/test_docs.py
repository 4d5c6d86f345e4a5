"""docs/: the pages are current, every block of the language is what it claims, the tutorial's policies hold."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from policy_dsl.editor.words import STATEMENTS
from policy_dsl.lint.run import lint
from policy_dsl.loading import load, load_text
from policy_dsl.testing import run_tests

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```lamps(?P<words>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = sorted((DOCS / "tutorial").glob("*.lamps"))


def _generate():
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


GENERATE = _generate()
PAGES = [ROOT / "README.md", *GENERATE.pages()]
BLOCKS = [
    pytest.param(m["words"].split(), m["text"], id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number, m in enumerate(BLOCK.finditer(page.read_text()), 1)
]


@pytest.mark.parametrize("page", GENERATE.pages(), ids=lambda page: str(page.relative_to(DOCS)))
def test_pages_are_current(page):
    now, made = (GENERATE.MEASURED.sub("N us", text) for text in (
        page.read_text(), GENERATE.filled(page.read_text(), page.parent),
    ))  # fmt: skip
    assert now == made, "`make docs` writes the pages"


@pytest.mark.parametrize("words, text", BLOCKS)
def test_blocks_are_what_they_claim(words, text):
    assert words[:1] in ([], ["fragment"], ["wrong"])
    whole = text if words[:1] == [] else GENERATE.whole(text)
    loaded = load_text(whole)
    wanted = words[1:] if words[:1] == ["wrong"] else []
    assert bool(wanted) == (words[:1] == ["wrong"])
    assert [f.code for f in loaded.diagnostics] == wanted, [f.message for f in loaded.diagnostics]
    if wanted:
        assert re.findall(r"^error\[(LMP\d+)\]", GENERATE.said_of(text), re.MULTILINE) == wanted
    assert all(result.passed for result in (run_tests(loaded) if loaded.policy else ()))


def test_every_statement_has_its_section():
    headings = re.findall(r"^## (.*)$", (DOCS / "reference/statements.md").read_text(), re.MULTILINE)
    assert set(STATEMENTS) <= set(headings)


def test_every_signal_is_in_the_reference():
    from policy_dsl.catalogue import SIGNALS

    page = (DOCS / "reference/signals.md").read_text()
    assert [s.name for s in SIGNALS.values() if not s.hidden and f"| `{s.name}` |" not in page] == []


def test_what_the_adapter_fills_is_asked_of_it():
    page = (DOCS / "reference/signals.md").read_text()
    assert re.search(r"^\| `request.cached` .*\| yes \|$", page, re.MULTILINE)
    assert re.search(r"^\| `engine.kv_free` .*\| yes \|$", page, re.MULTILINE)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_steps_of_the_tutorial_load_and_pass(step):
    loaded = load(step)
    assert loaded.policy is not None, [f.message for f in loaded.diagnostics]
    assert [r.name for r in run_tests(loaded) if not r.passed] == []


def test_the_last_step_of_the_tutorial_is_clean():
    assert lint(load(STEPS[-1])).findings == ()
