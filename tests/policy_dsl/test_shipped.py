"""The policies that lamps brings along."""

from __future__ import annotations

import pytest

import policies
from policy_dsl import ir, nodes
from policy_dsl.coverage import run_covered
from policy_dsl.interpret import evaluate
from policy_dsl.loading import Loaded, load, load_text
from policy_dsl.testing import run_tests
from policy_dsl.verify import verify
from tests.policy_dsl.checking import ENGINE


@pytest.mark.parametrize("name", policies.shipped())
def test_shipped_policies_are_good_and_tested(name: str) -> None:
    loaded: Loaded = load(policies.find(name))
    assert loaded.policy is not None, loaded.diagnostics
    assert loaded.policy.name == name
    verify(loaded.policy)
    results, coverage = run_covered(loaded)
    assert len(results) >= 2 and all(result.passed for result in results)
    assert [point.what for point in coverage.missed] == []


# What no test can ask: limits and the gate are the engine's to carry out.
RULES = (
    nodes.RankStatement, nodes.OnCallStatement, nodes.PausedStatement, nodes.PromoteStatement, nodes.YieldStatement,
    nodes.VictimStatement,
)  # fmt: skip
# Said to be read, and what would hold without being said.
SAY_THE_DEFAULT = {
    ("fcfs", "rank request.arrival"), ("autellix", "on call discard"), ("fcfs", "on call discard"),
    ("priority", "on call discard"), ("sjf", "on call discard"), ("vtc", "on call discard"),
    ("srpt_aged", "yield highest call.remaining"), ("coding_agents", "yield highest call.remaining"),
}  # fmt: skip


@pytest.mark.parametrize("name", policies.shipped())
def test_no_rule_of_a_shipped_policy_can_be_left_out_unnoticed(name: str) -> None:
    loaded = load(policies.find(name))
    for rule in (s for s in loaded.statements if isinstance(s, RULES)):
        lines = loaded.source.text.split("\n")
        written = lines[rule.span.line - 1 : rule.span.end_line]
        lines[rule.span.line - 1 : rule.span.end_line] = [""] * len(written)
        without = load_text("\n".join(lines))
        assert without.policy is not None
        noticed = any(not result.passed for result in run_tests(without))
        assert noticed != ((name, written[0]) in SAY_THE_DEFAULT), written


def test_the_paper_s_wastes() -> None:
    """LAMPS, equations 1 to 3, in token-seconds: C = 700, other running requests 40,000, T_API = 2 s."""
    loaded = load(policies.find("lamps"))
    assert loaded.policy is not None and isinstance(loaded.policy.on_call, ir.Pick)
    engine = {
        **ENGINE,
        "cost.prefill": 50e-6,
        "cost.prefill_context": 0.0,
        "cost.swap": 50e-6,
        "engine.running_tokens": 40_000.0,
    }
    row = {"call.context": 700.0, "call.duration": 2.0}
    costs = {a.act.holds[0].handling.word: evaluate(a.cost, row, engine, {}) for a in loaded.policy.on_call.arms}
    assert costs == pytest.approx({"preserve": 1400.0, "discard": 0.035 * 40_700, "swap": 2 * 0.035 * 40_000})


def test_unknown_policies_carry_the_nearest_names() -> None:
    with pytest.raises(policies.UnknownPolicy) as caught:
        policies.find("lapms")
    assert caught.value.near == ["lamps"]
    assert isinstance(caught.value, LookupError)
    assert policies.find("lamps.lamps") == policies.shipped()["lamps"]
