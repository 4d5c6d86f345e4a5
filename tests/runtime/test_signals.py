"""Every signal of the catalogue can be read, whatever the adapter knows; what it can't carry out it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from engine_adapter.runtime import activation
from engine_adapter.runtime.activation import load_policy, not_carried_out
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.hints import parse
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.turn import Turn, reader_of
from policy_dsl.catalogue import DECLARED, SHAPE, SIGNALS, STATISTICS
from policy_dsl.compiled import compile_policy
from policy_dsl.limits import names
from policy_dsl.loading import load_text
from policy_dsl.prediction import Dist
from tests.runtime.test_core import World, arrive, finish

HEAD = 'lamps 1\npolicy tried "a test"\n'
ROW = [s for s in SIGNALS.values() if s.per_row]
ROW_KEYS = [s.name for s in ROW] + [f"{s.name}.{t}" for s in ROW if s.distribution for t in (*STATISTICS, *SHAPE)]


def runtime(rules: str, world: World | None = None) -> Runtime:
    loaded = load_text(f"{HEAD}{rules}\n")
    assert loaded.policy is not None, loaded.diagnostics
    compiled = compile_policy(loaded.policy, loaded.source)
    return Runtime(compiled, (world or World()).engine(), Predictor(), CostModel())


def of_row(turn: Turn, now: float = 5.0) -> dict[str, Any]:
    return dict(reader_of(ROW_KEYS, lambda name, given: 0.0)(turn, now, 3))


def check_types(row: dict[str, Any]) -> None:
    for signal in ROW:
        assert isinstance(row[signal.name], type(signal.default)), signal.name


def test_a_waiting_row_has_every_signal() -> None:
    tried = runtime("rank request.arrival")
    arrive(tried, "a")
    row = of_row(tried.turns["a"])
    assert set(row) == set(ROW_KEYS)
    check_types(row)
    assert row["request.deadline"] == math.inf and row["tenant.weight"] == 1.0


def test_a_paused_row_has_every_signal() -> None:
    tried = runtime("rank request.arrival\non call preserve")
    arrive(tried, "a", session="s", lamps_call_tool="x", lamps_call_duration_s=9.0)
    finish(tried, "a")
    row = of_row(tried.calls.paused["s"].turn)
    check_types(row)
    assert (row["call.elapsed"], row["call.chance"]) == (5.0, 1.0)


def test_a_running_call_takes_longer_than_it_has_run() -> None:
    tried = runtime("rank request.arrival\non call preserve")
    arrive(tried, "a", session="s", lamps_call_tool="x", lamps_call_duration_s=9.0)
    finish(tried, "a")
    turn = tried.calls.paused["s"].turn
    assert (of_row(turn, 8.0)["call.duration"], of_row(turn, 8.0)["call.remaining"]) == (9.0, 1.0)
    late = of_row(turn, 20.0)
    assert (late["call.duration.p90"], late["call.remaining"], late["call.duration.known"]) == (40.0, 20.0, False)
    assert turn.call is not None
    turn.call.duration = Dist.between(1.0, 4.0)
    row, begun = of_row(turn, 3.0), of_row(turn, 0.0)
    assert begun["call.duration.p50"] == pytest.approx(1.0) and begun["call.duration.after"] == 0.0
    assert 3.0 < row["call.duration.p50"] < row["call.duration"] < row["call.duration.p99"]
    assert row["call.remaining"] == pytest.approx(row["call.duration"] - 3.0)
    assert row["call.duration.after"] == 3.0 and row["call.duration.mu"] == begun["call.duration.mu"]


def test_a_call_that_overruns_is_expected_to_go_on_overrunning() -> None:
    world = World()
    tried = runtime("on call preserve\nyield highest call.remaining", world)
    for name, seconds in (("long", 40.0), ("late", 5.0)):
        arrive(tried, name, session=name, lamps_call_tool="x", lamps_call_duration_s=seconds)
        finish(tried, name)
    world.now = 4.0
    assert [pin.session for pin in tried.calls.yield_order(spare="")] == ["long", "late"]
    world.now = 30.0
    assert [pin.session for pin in tried.calls.yield_order(spare="")] == ["late", "long"]


def test_the_engine_has_every_signal() -> None:
    snapshot = runtime("rank request.arrival").engine_now()
    assert {s.name for s in SIGNALS.values() if not s.per_row} == set(snapshot)


def test_every_signal_can_be_ranked_by() -> None:
    """A row of the waiting table is read in the same way, and a column of it ranked."""
    keys = [s.name for s in SIGNALS.values() if not s.hidden and s.type.kind.value in ("quantity", "instant", "bool")]
    tried = runtime("rank " + ", ".join(keys))
    arrive(tried, "a")
    arrive(tried, "b")
    tried.begin_step()
    assert tried.first(2) == ["a", "b"]
    assert not any(tried.counters[c] for c in tried.counters if c.startswith("faults"))


def test_what_is_no_signal_is_a_bug() -> None:
    with pytest.raises(KeyError):
        reader_of(["request.nothing"], lambda name, given: 0.0)
    assert set(DECLARED) == {"class", "hint"}


# --- hints that a policy declares


def test_declared_hints_are_clamped_and_have_defaults() -> None:
    tried = runtime('hint critical = 0.5 in 0..1\nhint tier = "none"\nrank highest hint.critical, hint.tier == "x"')
    arrive(tried, "silent")
    arrive(tried, "most", lamps_hint_critical=7, lamps_hint_tier="x")
    arrive(tried, "least", lamps_hint_critical=-2.0)
    tried.begin_step()
    assert tried.first(3) == ["most", "silent", "least"]


def test_declared_hints_are_checked_like_the_others() -> None:
    hints, problems = parse({"lamps_hint_a": 1, "lamps_hint_b": math.nan, "lamps_hint_c": "x\n", "lamps_hint_d": None})
    assert hints.declared == {"a": 1}
    assert sorted(p.split()[0] for p in problems) == ["lamps_hint_b", "lamps_hint_c"]
    many, problems = parse({f"lamps_hint_{i}": i for i in range(40)})
    assert len(many.declared) == 32 and len(problems) == 8


# --- statements that are carried out, or refused

STATEMENTS = {
    "limit running ... by": "limit running <= 3 by highest request.age",
    "limit rest.running ... by": "class rest { weight: 1 }\nlimit rest.running <= 3 by highest request.age",
}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that lacks what a limit on what runs needs to be given out by an order."""
    lacking = activation.CARRIED_OUT - {"limit running ... by", "limit CLASS.running ... by"}
    monkeypatch.setattr(activation, "CARRIED_OUT", lacking)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("words", STATEMENTS)
def test_what_would_be_ignored_is_refused(tmp_path: Path, words: str) -> None:
    path = tmp_path / "p.lamps"
    path.write_text(f"{HEAD}{STATEMENTS[words]}\n")
    with pytest.raises(ValueError, match=f"`{words}` is understood .* doesn't carry it out yet"):
        load_policy(str(path), {})


@pytest.mark.usefixtures("without")
def test_several_are_named_in_one_sentence() -> None:
    both = "\n".join(STATEMENTS.values())
    loaded = load_text(f"{HEAD}{both}\nlimit pinned <= 50%\nyield call.elapsed")
    assert loaded.policy is not None
    sentence = not_carried_out(compile_policy(loaded.policy, loaded.source))
    assert sentence.startswith("`limit running ... by` and `limit rest.running ... by` are understood")


def test_every_rule_of_the_language_is_carried_out() -> None:
    limits = "".join(f"limit {name} <= 5% by request.arrival\n" for name in names(["a"]))
    loaded = load_text(
        f"{HEAD}class a {{ x: 1 }}\nrank request.age\non call preserve\nwhile paused every 1s again\n"
        f"yield call.elapsed\nvictim request.age\nadmit when true\npromote when false by request.age\n{limits}"
    )
    assert loaded.policy is not None, loaded.diagnostics
    assert not_carried_out(compile_policy(loaded.policy, loaded.source)) == ""


def test_yield_says_who_gives_way_first() -> None:
    world = World()
    tried = runtime("on call preserve\nyield lowest call.remaining, highest request.arrival", world)
    for name, seconds in (("long", 90.0), ("short", 5.0), ("middle", 40.0)):
        arrive(tried, name, session=name, lamps_call_tool="x", lamps_call_duration_s=seconds)
        finish(tried, name)
    assert [pin.session for pin in tried.calls.yield_order(spare="")] == ["short", "middle", "long"]
    assert [pin.session for pin in tried.calls.yield_order(spare="short")] == ["middle", "long", "short"]


def test_a_yield_that_fails_falls_back_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    tried = runtime("on call preserve\nyield lowest call.remaining", world)
    for name, seconds in (("long", 90.0), ("short", 5.0)):
        arrive(tried, name, session=name, lamps_call_tool="x", lamps_call_duration_s=seconds)
        finish(tried, name)

    def fails(row: object, engine: object) -> tuple[float, ...]:
        raise ZeroDivisionError

    monkeypatch.setattr(tried.policy.scalar, "yield_keys", fails)
    assert [pin.session for pin in tried.calls.yield_order(spare="")] == ["long", "short"]
    assert tried.counters["faults.yield"] == 2


def test_nan_yields_last() -> None:
    world = World()
    tried = runtime("on call preserve\nyield 0 * (1 / (call.elapsed / 1s))", world)
    arrive(tried, "first", session="first", lamps_call_tool="x", lamps_call_duration_s=9.0)
    finish(tried, "first")
    world.now = 1.0
    arrive(tried, "fresh", session="fresh", lamps_call_tool="x", lamps_call_duration_s=99.0)
    finish(tried, "fresh")
    assert [pin.session for pin in tried.calls.yield_order(spare="")] == ["first", "fresh"]
