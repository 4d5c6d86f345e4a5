"""Suppressions: which lines they reach, that a reason is needed, that unused ones are found."""

from __future__ import annotations

import pytest

from policy_dsl.lint.registry import Selection
from policy_dsl.lint.run import lint
from policy_dsl.loading import load, load_text

HEAD = 'lamps 1\npolicy p "A policy."\n'
TEST = 'test "t" { request r { request.context: 1tok } expect r.request.context == 1tok }\n'
UNFAIR = "rank predict.output\n"


def codes(body: str, selection: Selection | None = None) -> list[str]:
    loaded = load_text(HEAD + body + TEST)
    assert loaded.policy is not None, loaded.diagnostics
    return [f.code for f in lint(loaded, selection).findings]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (UNFAIR, ["LMP301"]),
        ("rank predict.output  # lamps: allow unbounded-wait -- by agreement\n", []),
        ("# lamps: allow unbounded-wait -- by agreement\n" + UNFAIR, []),
        ("# lamps: allow LMP301 -- by agreement\n\n# another comment\n" + UNFAIR, []),
        ("#lamps:allow unbounded-wait, title -- by agreement\n" + UNFAIR, ["LMP690"]),
        # it speaks of one statement
        ("# lamps: allow unbounded-wait -- by agreement\non call discard\n" + UNFAIR, ["LMP690", "LMP301"]),
        (UNFAIR + "# lamps: allow unbounded-wait -- by agreement\n", []),
        (UNFAIR + "# lamps: allow unbounded-wait -- by agreement\nlimit pinned <= 1%\n", ["LMP301", "LMP690"]),
        # a reason is needed
        ("# lamps: allow unbounded-wait\n" + UNFAIR, ["LMP691", "LMP301"]),
        ("# lamps: allow unbounded-wait --  \n" + UNFAIR, ["LMP691", "LMP301"]),
        ("# lamps: allow unbounded-wiat -- by agreement\n" + UNFAIR, ["LMP691", "LMP301"]),
        ("# lamps: ignore unbounded-wait -- by agreement\n" + UNFAIR, ["LMP691", "LMP301"]),
        ("# lamps: allow -- by agreement\n" + UNFAIR, ["LMP691", "LMP301"]),
        # other comments are comments
        ("# lamps policies are allowed here\nrank request.arrival\n", []),
        ('rank request.arrival # "# lamps: allow x"\n', []),
    ],
)
def test_reach(body, found):
    assert codes(body) == found


def test_behind_all_rules_it_speaks_of_the_file():
    loaded = load_text(HEAD + UNFAIR + TEST + "# lamps: allow unbounded-wait -- by agreement\n")
    assert lint(loaded).findings == ()


def test_a_text_is_no_comment():
    body = 'on call if call.tool == "# lamps: allow title -- x" { preserve for 1s } else { discard }\n'
    assert codes(body) == []


def test_a_suppression_of_an_unselected_rule_is_not_called_unused():
    body = "# lamps: allow title -- by agreement\nrank request.arrival\n"
    assert codes(body) == ["LMP690"]
    assert codes(body, Selection(ignore=("title",))) == []


def test_the_verdict_says_waived_and_why():
    loaded = load_text(HEAD + "# lamps: allow unbounded-wait -- by agreement\n" + UNFAIR + TEST)
    assert lint(loaded).overtaking == "waived: by agreement"
    assert lint(load_text(HEAD + UNFAIR + TEST)).overtaking.startswith("unproved")


def test_errors_cannot_be_allowed():
    loaded = load_text(HEAD + "rank request.arivall  # lamps: allow LMP101 -- please\n")
    assert [f.code for f in lint(loaded).findings] == ["LMP101"]


def test_the_suppressions_of_a_parent_are_not_inherited(tmp_path):
    parent, child = tmp_path / "parent.lamps", tmp_path / "child.lamps"
    parent.write_text(HEAD + "# lamps: allow unbounded-wait -- by agreement\n" + UNFAIR + TEST)
    child.write_text('lamps 1\npolicy c "A child."\nextends "parent.lamps"\n')
    assert [f.code for f in lint(load(parent)).findings] == []
    loaded = load(child)
    assert loaded.policy is not None, loaded.diagnostics
    found = lint(loaded).findings
    assert [f.code for f in found] == ["LMP301"]
    assert found[0].span.source.path == str(child)
