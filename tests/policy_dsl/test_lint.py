"""Lint rules: every example of the documentation is run, and fires what it says."""

from __future__ import annotations

import re

import pytest

from policies import shipped
from policy_dsl.diagnostics.model import Diagnostic, Severity
from policy_dsl.lint import registry
from policy_dsl.lint.run import lint
from policy_dsl.loading import load, load_text

RULES = {e.code: e.load() for e in registry.entries().values()}
HEADER = 'lamps 1\npolicy example "An example."\n'
TEST = '\ntest "a" { request r { request.context: 1tok } expect r.request.context == 1tok }\n'


def blocks(page: str, section: str) -> list[str]:
    body = re.search(rf"## {section}\n(.*?)(?=\n## |\Z)", page, re.S)
    return [] if body is None else re.findall(r"```lamps\n(.*?)```", body[1], re.S)


def whole(text: str) -> str:
    """An example as a file: with a header, a title and a test where it has none."""
    if text.startswith("lamps 1"):
        return text
    header = HEADER if "policy " not in text else "lamps 1\n"
    return header + text + TEST


def findings(text: str) -> tuple[Diagnostic, ...]:
    loaded = load_text(text)
    assert loaded.policy is not None, loaded.diagnostics
    return lint(loaded).findings


def fired(text: str) -> list[str]:
    return [f.code for f in findings(text)]


@pytest.mark.parametrize("code", RULES)
def test_what_to_avoid_fires_this_rule_alone(code):
    examples = blocks(RULES[code].page(), "Avoid")
    assert examples
    for text in examples:
        assert set(fired(whole(text))) == {code}, text


@pytest.mark.parametrize("code", RULES)
def test_what_to_prefer_is_clean(code):
    examples = blocks(RULES[code].page(), "Prefer")
    assert examples
    for text in examples:
        allowed = {"LMP690"} if code == "LMP691" else set()
        assert set(fired(whole(text))) <= allowed, text


@pytest.mark.parametrize("code", RULES)
def test_identity_and_documentation(code):
    entry, rule = registry.entries()[code], RULES[code]
    assert (rule.code, rule.name) == (entry.code, entry.name)
    assert list(re.findall(r"^## (.*)", rule.page(), re.M)) == ["Why", "Avoid", "Prefer"]
    first = rule.page().split("\n\n")[1]
    assert first.rstrip().endswith(".")


def test_there_are_enough_and_names_are_unique():
    assert len(RULES) >= 25
    assert len(registry.names()) == len(RULES)


@pytest.mark.parametrize("code", RULES)
def test_findings_say_what_to_type(code):
    for text in blocks(RULES[code].page(), "Avoid"):
        for finding in findings(whole(text)):
            assert finding.help or finding.text, finding.message
            assert finding.message == finding.message[0].lower() + finding.message[1:]
            assert not finding.message.endswith(".")
            assert finding.severity in (Severity.WARNING, Severity.INFO)


@pytest.mark.parametrize("path", shipped().values(), ids=lambda p: p.stem)
def test_shipped_policies_are_clean(path):
    assert [f"{f.code} {f.message} line {f.span.line}" for f in lint(load(path)).findings] == []


def test_rules_are_found_by_code_and_name():
    assert registry.find("LMP301").name == registry.find("unbounded-wait").name == registry.find("lmp301").name
    with pytest.raises(registry.UnknownRule) as unknown:
        registry.find("unbounded-wiat")
    assert unknown.value.near == ["unbounded-wait"]


def test_selection():
    text = whole("param unused_one = 1 in 0..2\nrank predict.output\n")
    loaded = load_text(text)

    def codes(*select: str, ignore: tuple[str, ...] = ()) -> list[str]:
        return [f.code for f in lint(loaded, registry.Selection(select, ignore)).findings]

    assert codes() == ["LMP601", "LMP301"]
    assert codes("LMP3") == codes("unbounded-wait") == codes(ignore=("LMP6",)) == ["LMP301"]
    with pytest.raises(registry.UnknownRule):
        registry.Selection(("nothing-such",))


def test_a_policy_with_errors_has_its_errors_only():
    found = lint(load_text('lamps 1\npolicy p "no sentence"\nrank request.arivall\n')).findings
    assert [f.code for f in found] == ["LMP101"]
    assert found[0].severity is Severity.ERROR


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # what ranges know
        ("rank request.context / engine.running", "LMP220"),
        ("rank if engine.running > 0 { 1 / engine.running } else { 0 }, request.arrival", "LMP301"),
        ("rank 1 / (call.chance - 1)", "LMP220"),
        ("rank request.arrival\npromote when request.waited >= -1s", "LMP225"),
        ("rank request.arrival\non call preserve for max(10s, 20min)", "LMP403"),
        ("on call least { preserve: -1tok discard: 0tok }\nlimit pinned <= 10%", "LMP407"),
        # what is inherited from functions is shown at the function
        ("let f(x) = 1 / x\nrank f(request.cached), request.arrival", "LMP220"),
        ("rank predict.output\npromote when request.waited >= 1min by request.priority", "LMP301"),
    ],
)
def test_more_cases(text, code):
    found = fired(whole(text))
    assert (code in found) == (code != "LMP407"), found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        # a function's condition is decided where all uses agree
        ("let f(x) = if x > 5s { x } else { 5s }\nrank f(3s) + f(call.context * 1s / 1tok)", set()),
        ("let f(x) = if x > 1.5 { x } else { 5 }\nrank f(call.chance) + f(call.chance / 2)", {"LMP225"}),
        ("let f(x) = if x > 1.5 { x } else { 5 }\nrank f(call.chance) + f(call.count)", set()),
        # `while paused` that changes nothing
        ("on call discard\nwhile paused every 1s if call.elapsed > 5s { swap } else { discard }", {"LMP413"}),
        ("on call swap\nwhile paused every 11min discard", {"LMP413"}),
        ("on call preserve for 9s then swap\nwhile paused every 1s again", set()),
        ("on call preserve for call.context * 1ms / 1tok\nwhile paused every 1s again", set()),
        # what is gone
        ("on call swap\nwhile paused every 1s match handling { discard, none: swap, _: discard }", {"LMP414"}),
        ("on call swap\nwhile paused every 1s match handling { discard: discard, _: preserve for 9s }", set()),
        ("on call swap\nwhile paused every 1s if none == handling { preserve for 9s } else { again }", {"LMP414"}),
        ("on call swap\nwhile paused every 1s if handling == swap { preserve for 9s } else { again }", set()),
    ],
)
def test_conditions_of_functions_and_of_paused_sessions(text, wanted):
    assert set(fired(whole(text + "\n"))) & {"LMP224", "LMP225", "LMP413", "LMP414"} == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("limit running <= 9 by request.context", ["LMP301"]),
        ("limit running <= 9 by request.context\npromote when request.age >= 1min", []),
        ("limit running <= 9\npromote when request.age >= 1min", ["LMP308"]),
    ],
)
def test_a_limit_on_what_runs_that_another_order_gives_out(text, wanted):
    found = findings(whole("rank request.arrival\n" + text + "\n"))
    assert [f.code for f in found] == wanted
    assert all("limit" in f.span.text for f in found if f.code == "LMP301")


PRICED = "on call least {{ preserve{}: call.duration discard: call.response * 1s / 1tok }}\n{}"


@pytest.mark.parametrize(
    ("lasts", "more", "wanted"),
    [
        ("", "", {"LMP415"}),
        ("", "limit host <= 50%", {"LMP415"}),
        (" for 9s", "", set()),
        ("", "limit pinned <= 50%", set()),
        ("", "while paused every 1s again", set()),
    ],
)
def test_a_price_that_is_asked_once(lasts, more, wanted):
    assert set(fired(whole(PRICED.format(lasts, more + "\n")))) == wanted


def test_a_price_is_asked_again_by_the_parent_s_rule():
    assert fired(whole("extends lamps\non call least { preserve: call.duration discard: 2s }\n")) == []


def test_what_is_decided_around_a_comparison_is_not_said_of_its_signal():
    text = "rank if request.waited > 3s { if request.waited > 2s { 1 } else { 2 } } else { 3 }, request.arrival"
    (finding,) = [f for f in findings(whole(text)) if f.code == "LMP225"]
    assert (finding.span.text, finding.help) == ("request.waited > 2s", "a test around it has decided it")


def test_the_narrowest_place_is_shown():
    (finding,) = [
        f for f in findings(whole("let a = 2 * request.context / (engine.running - 1)\nrank a\n")) if f.code == "LMP220"
    ]
    line = finding.span.source.line(finding.span.line)
    assert line[finding.span.column - 1 : finding.span.end_column - 1] == "engine.running - 1"
