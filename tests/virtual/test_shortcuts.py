"""What the virtual engine leaves out of vLLM's step changes nothing: the same load with and without, the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vllm.v1.core.kv_cache_utils import get_request_block_hasher

from engine_adapter.runtime.sessions import Sessions
from engine_adapter.virtual import jobs, shortcuts, updates
from engine_adapter.virtual.beside import DecodesBeside
from engine_adapter.virtual.decode import DecodeRuns
from engine_adapter.virtual.driver import Driver, run
from engine_adapter.virtual.simulate import Simulation
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import Trace
from tests.virtual.small import profile, session, simulation, trace


def outcome(given: Simulation) -> tuple[bytes, object]:
    """The result of *given*, and what is left in the runtime, which decides what comes next."""
    driver = Driver(given)
    found = jobs.encode_measured(driver.drain())
    lamps = driver.engine.lamps
    if lamps:
        lamps.later.do()
    left = lamps and (lamps.step, lamps.costs.state(), lamps.costs.epoch, lamps.costs.step_time_s)
    return found, (driver.engine.scheduler.current_step, left)


def step_by_step(given: Simulation) -> tuple[bytes, object]:
    """The same, each of its steps scheduled and updated by vLLM."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecodeRuns, "take", lambda runs, until_s: (0, ()))
        patch.setattr(DecodesBeside, "taken", lambda scheduler: ())
        patch.setattr(updates, "skip_plain_updates", lambda scheduler: None)
        patch.setattr(DecodeRuns, "take_ahead", lambda runs, output, ends_s, until_s: (0, output, ends_s))
        return outcome(given)


@pytest.mark.parametrize("policy", ["stock", "lamps"])
@pytest.mark.parametrize("ahead", [False, True])
def test_the_same_bytes_without_shortcuts(policy: str, ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory so short that requests are preempted, blocks reused and prefixes lost.
    given = simulation(policy, profile=profile(async_scheduling=ahead, kv_tokens=1200), trace=trace(60))
    short = run(given, None)
    assert short.counters["preemptions"] > 0 < short.counters["prefix_cache_hits"]
    for name in ("skip_idle_allocations", "skip_stop_checks", "skip_model_runner_data"):
        monkeypatch.setattr(shortcuts, name, lambda scheduler: None)
    monkeypatch.setattr(updates, "skip_plain_updates", lambda scheduler: None)
    monkeypatch.setattr(shortcuts, "plain_hasher", get_request_block_hasher)
    assert step_by_step(given)[0] == jobs.encode_measured(short)


@st.composite
def loads(draw: st.DrawFn) -> dict[str, Any]:
    """Few sessions or many, answers of a token or of many blocks, an engine that idles, or is full."""
    turns = st.lists(st.tuples(st.integers(1, 150), st.integers(1, 120)), min_size=1, max_size=3)
    sessions = [
        session(f"s{n}", *draw(turns), gap_s=draw(st.sampled_from((0.0, 0.05, 0.3, 2.0))), tool=("a", "b")[n % 2])
        for n in range(draw(st.integers(1, 12)))
    ]
    engine = profile(
        async_scheduling=draw(st.booleans()),
        block_size=draw(st.sampled_from((1, 2, 4, 16))),
        kv_tokens=draw(st.sampled_from((1024, 1200, 4000))),
        max_num_seqs=draw(st.sampled_from((2, 16))),
        step=draw(
            st.sampled_from(
                (
                    {"step_s": 0.01, "prefill_token_s": 1e-4, "decode_seq_s": 1e-4},
                    {"floor_s": 0.007, "token_s": 3e-4, "prefill_context_s": 1e-7, "context_token_s": 1e-6},
                )
            )
        ),
    )
    load = Load(rate=draw(st.sampled_from((0.5, 3.0, 30.0))), seed=draw(st.integers(0, 9)))
    return {
        "trace": Trace("drawn", tuple(sessions)),
        "load": load,
        "profile": engine,
        "predict": draw(st.sampled_from(("online", "tool", "oracle"))),
    }


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(loads(), st.sampled_from(("stock", "fcfs", "lamps")))
def test_the_same_bytes_with_each_step_scheduled(load: dict[str, Any], policy: str) -> None:
    given = simulation(policy, **load)
    assert outcome(given) == step_by_step(given)


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("policy", ["stock", "lamps"])
def test_a_run_ends_where_memory_does(policy: str, ahead: bool) -> None:
    # All are admitted at once; then their answers outgrow the memory while nobody waits.
    growing = Trace("growing", tuple(session(f"s{n}", (20, 150 + n)) for n in range(9)))
    given = simulation(
        policy, trace=growing, profile=profile(kv_tokens=1200, async_scheduling=ahead), load=Load(rate=1e6)
    )
    assert run(given, None).counters["preemptions"] > 0
    assert outcome(given) == step_by_step(given)


AGAIN = "if call.elapsed > 1s { discard } else { preserve }"
HANDLINGS = {
    "ends": "on call preserve for 200ms",
    "is followed": "on call preserve for 200ms then preserve for 300ms",
    "is asked again": f"on call preserve\nwhile paused every 150ms {AGAIN}",
    "is asked by steps": f"on call preserve\nwhile paused every 7steps {AGAIN}",
    "is limited": "on call preserve\nlimit pinned <= 200tok - engine.running_tokens / 2",
}


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("handling", HANDLINGS.values(), ids=HANDLINGS)
def test_a_run_ends_where_a_pin_is_seen_to(handling: str, ahead: bool, tmp_path: Path) -> None:
    # One session decodes for seconds; the pins of the others come and go beside it.
    (tmp_path / "p.lamps").write_text(f'lamps 1\npolicy p "pins"\nrank request.arrival\n{handling}\n')
    calling = [session(f"s{n}", (100 + n, 4), (30, 4), gap_s=2.7) for n in range(3)]
    beside = Trace("beside", (session("long", (20, 600)), *calling))
    given = simulation(
        str(tmp_path / "p.lamps"), trace=beside, profile=profile(async_scheduling=ahead), load=Load(rate=5.0)
    )
    found = run(given, None)
    assert max(sample.kv_pinned for sample in found.timeline) > 0
    assert outcome(given) == step_by_step(given)


@pytest.mark.parametrize("policy", ["stock", "fcfs", "lamps"])
@pytest.mark.parametrize("ahead", [False, True])
def test_decode_steps_are_taken_together(policy: str, ahead: bool) -> None:
    driver = Driver(simulation(policy, load=Load(rate=0.2, seed=3), profile=profile(async_scheduling=ahead)))
    scheduled = 0
    schedule = driver.engine.scheduler.schedule

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal scheduled
        scheduled += 1
        return schedule(*args, **kwargs)

    driver.engine.scheduler.schedule = counted
    found = driver.drain()
    assert scheduled < found.steps / 4


@pytest.mark.parametrize("ahead", [False, True])
def test_sessions_that_expire_end_a_run_once_a_second(ahead: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Twenty sessions end at once, and are forgotten some seconds after, while one answer is decoded.
    few = (session("long", (20, 900)), *(session(f"s{n}", (10 + n, 2 + 3 * n)) for n in range(20)))
    given = simulation(
        "lamps", trace=Trace("few", few), load=Load(rate=1e3), profile=profile(async_scheduling=ahead, max_num_seqs=32)
    )
    monkeypatch.setattr(Sessions.__init__, "__defaults__", (0, 100, 4.0))
    driver = Driver(given)
    scheduled, schedule = 0, driver.engine.scheduler.schedule

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal scheduled
        scheduled += 1
        return schedule(*args, **kwargs)

    driver.engine.scheduler.schedule = counted
    found = driver.drain()
    assert driver.engine.lamps is not None and len(driver.engine.lamps.sessions) < 10
    assert scheduled < 30 + 2 * found.virtual_s < found.steps / 4
    assert outcome(given) == step_by_step(given)


@pytest.mark.parametrize("policy", ["stock", "fcfs", "lamps"])
@pytest.mark.parametrize("ahead", [False, True])
def test_beside_prefills_vllm_sees_few_of_those_that_decode(policy: str, ahead: bool) -> None:
    # Prompts of three chunks come one after the other, beside eleven long answers.
    long = (session(f"s{n}", (20, 300)) for n in range(11))
    coming = (session(f"p{n}", (150, 2)) for n in range(40))
    given = simulation(
        policy,
        trace=Trace("beside", (*long, *coming)),
        profile=profile(async_scheduling=ahead, kv_tokens=8000, max_num_batched_tokens=64),
        load=Load(rate=12.0, seed=4),
    )
    driver = Driver(given)
    seen = running = 0
    taken = DecodesBeside.taken

    def counted(scheduler: Any) -> Any:
        nonlocal seen, running
        found = taken(scheduler)
        running += len(scheduler.running)
        seen += len(scheduler.running) - len(found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecodesBeside, "taken", counted)
        driver.drain()
    assert 0 < seen < running / 3
    assert outcome(given) == step_by_step(given)
