"""Replay against a stand-in server: what is sent, what is measured, and what failures look like."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.workload.client import Client, NoServer, ServerError, ServerInfo
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig, replay, run_bench, xargs
from engine_adapter.workload.result import BenchResult, SessionResult, TurnResult
from engine_adapter.workload.summary import jain, quantile, spread, summarize
from engine_adapter.workload.trace import SessionTrace, Turn, load_trace
from tests.workload.conftest import line, turn
from tests.workload.fake_server import FakeServer, answer, serving

FAST = Load(rate=200)
FIRST_COMES_AT_ONCE = 34


def test_every_turn_is_sent_as_the_trace_says(trace_file: Path) -> None:
    with serving(FakeServer()) as fake:
        result = run_bench(BenchConfig(fake.url, load_trace(trace_file), FAST))
    assert result.ended == "finished"
    assert [session.error for session in result.sessions] == [""] * 10
    by_session: dict[str, list[dict[str, object]]] = {}
    for body in fake.asked:
        by_session.setdefault(body["session_id"], []).append(body)
    assert len(by_session) == 10
    for first, second in by_session.values():
        assert (len(first["prompt"]), first["max_tokens"], first["min_tokens"]) == (30, 8, 8)
        assert second["prompt"][:38] == first["prompt"] + answer(first)
        assert (first["vllm_xargs"], second.get("vllm_xargs")) == ({"lamps_call_tool": "math"}, None)
        assert first["ignore_eos"] is True


def test_a_router_that_reads_no_bodies_sees_the_session_too(tmp_path: Path) -> None:
    path = tmp_path / "named.jsonl"
    path.write_text("".join(json.dumps(line(name, turn(9, 0, 2))) + "\n" for name in ("plain", 'Zoë ж/"')))
    with serving(FakeServer()) as fake:
        result = run_bench(BenchConfig(fake.url, load_trace(path), FAST))
    assert [session.error for session in result.sessions] == ["", ""]
    assert [unquote(name or "") for name in fake.named] == [body["session_id"] for body in fake.asked]


def test_the_same_load_again_meets_no_session_and_no_prefix_of_the_first(trace_file: Path) -> None:
    trace = load_trace(trace_file)
    with serving(FakeServer()) as fake:
        for _ in range(2):
            run_bench(BenchConfig(fake.url, trace, FAST))
    once, again = fake.asked[:20], fake.asked[20:]
    assert {tuple(body["prompt"]) for body in once} == {tuple(body["prompt"]) for body in again}
    assert not {body["session_id"] for body in once} & {body["session_id"] for body in again}
    assert len({body["cache_salt"] for body in once}) == 1
    assert {body["cache_salt"] for body in once} != {body["cache_salt"] for body in again}


def test_latencies_are_those_of_the_server_and_the_tools(trace_file: Path) -> None:
    with serving(FakeServer(delay_s=0.2)) as fake:
        result = run_bench(BenchConfig(fake.url, load_trace(trace_file), Load(rate=100, gap_scale=2)))
    figures = summarize(result)
    assert (figures.sessions, figures.finished, figures.failed) == (10, 10, 0)
    # Two turns whose first token comes after 0.1 s and the last after 0.2 s, and a call of 0.05 s, twice as long.
    # A busy machine adds to each and takes nothing away, so parts are compared with what they are parts of.
    assert figures.end_to_end_s.p50 >= 0.5
    assert figures.end_to_end_s.mean - figures.without_tools_s.mean == pytest.approx(0.1)
    for ttft_s in (figures.ttft_session_s, figures.ttft_turn_s):
        assert 0.1 <= ttft_s.p50 <= figures.without_tools_s.p50 - 0.3
    assert (figures.prompt_tokens, figures.output_tokens) == (750, 120)
    assert figures.cached_tokens == 20 * 7
    assert result.counters == {"preemptions": 40.0, "prefix_cache_queries": 200.0, "prefix_cache_hits": 100.0}


def test_what_a_session_had_and_the_cache_lost_is_counted_as_recomputed(trace_file: Path) -> None:
    with serving(FakeServer()) as fake:
        figures = summarize(run_bench(BenchConfig(fake.url, load_trace(trace_file), FAST)))
    # Of 38 repeated tokens each follow-up finds 7; a first turn repeats nothing, however much it finds.
    assert figures.recomputed_tokens == 10 * 31
    assert (figures.preemptions, figures.prefix_hit_rate) == (40.0, 0.5)
    assert figures.tenant_fairness is None


def served(tenant: str | None, tokens: int, seconds: float, answered: bool = True) -> SessionResult:
    turn = TurnResult(tokens, 0, 0.0, due_s=1.0, lag_s=0.0, done_s=1.0 + seconds if answered else None)
    return SessionResult("s", None, 0.0, 1, [turn], tenant=tenant)


@pytest.mark.parametrize(
    ("sessions", "fairness"),
    [
        ((served("a", 100, 2.0), served("b", 500, 10.0), served(None, 1, 9.0)), 1.0),
        ((served("a", 100, 2.0), served("b", 100, 1.0)), 0.9),
        ((served("a", 100, 2.0), served("b", 100, 2.0, answered=False)), 0.5),
        ((served("a", 100, 2.0), served("a", 100, 1.0)), None),
    ],
)
def test_fairness_is_over_the_tenants_rates(sessions: tuple[SessionResult, ...], fairness: float | None) -> None:
    result = BenchResult("t", "u", ServerInfo("m", None), Load(), "tool", sessions, "finished", 11.0, None)
    found = summarize(result).tenant_fairness
    assert found == (None if fairness is None else pytest.approx(fairness))


@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=9))
def test_jains_index_is_between_one_nth_and_one(values: list[float]) -> None:
    assert 1 / len(values) - 1e-9 <= jain(values) <= 1 + 1e-9
    assert jain([*values, *values]) == pytest.approx(jain(values))


def test_jains_index_at_its_ends() -> None:
    assert [jain([3, 3, 3]), jain([0, 0, 0, 8]), jain([0, 0])] == [1, 0.25, 1]
    assert math.isnan(jain([]))


def test_a_tenant_is_told_to_the_server() -> None:
    session = SessionTrace("s", (Turn(10, 0, 5),), tenant="t1")
    assert xargs(session, 0, "tool") == {"lamps_tenant": "t1"}
    assert xargs(session, 0, "none") == {}


def test_a_refused_turn_fails_its_session_and_no_other(trace_file: Path) -> None:
    with serving(FakeServer(refuse_prompts_over=40)) as fake:
        figures = summarize(run_bench(BenchConfig(fake.url, load_trace(trace_file), FAST)))
    assert (figures.finished, figures.failed) == (0, 10)
    assert figures.failures == (("400: prompt too long", 10),)
    assert math.isnan(figures.end_to_end_s.mean)
    assert figures.ttft_session_s.max > 0  # the first turns were answered: their figures stay
    assert figures.output_tokens == 80


def test_an_answer_cut_off_is_a_failure(trace_file: Path) -> None:
    with serving(FakeServer(cut_after=1)) as fake:
        figures = summarize(run_bench(BenchConfig(fake.url, load_trace(trace_file), FAST)))
    assert figures.failures == (("the answer ended early (cut off)", 10),)


def test_a_turn_has_a_time_limit(trace_file: Path) -> None:
    with serving(FakeServer(delay_s=5)) as fake:
        figures = summarize(run_bench(BenchConfig(fake.url, load_trace(trace_file), FAST, timeout_s=0.3)))
    assert figures.failures == (("no complete answer within 0.3 s", 10),)


def test_a_server_that_dies_ends_the_run_with_what_was_measured(trace_file: Path) -> None:
    with serving(FakeServer(delay_s=0.4)) as fake:
        # The sessions take 0.85 s each; the first comes at once, the tenth after 10 s.
        load = Load(rate=1, seed=FIRST_COMES_AT_ONCE)
        threading.Timer(2.0, fake.stop).start()
        result = run_bench(BenchConfig(fake.url, load_trace(trace_file), load))
    figures = summarize(result)
    assert result.ended == "server gone"
    assert result.duration_s < 6
    assert 1 <= figures.finished <= 9
    assert figures.finished + figures.failed == 10
    assert result.counters is None


async def test_an_interrupted_run_keeps_what_was_measured(trace_file: Path) -> None:
    with serving(FakeServer()) as fake:
        run = asyncio.create_task(
            replay(BenchConfig(fake.url, load_trace(trace_file), Load(rate=5, seed=FIRST_COMES_AT_ONCE)))
        )
        await asyncio.sleep(1.0)
        run.cancel()
        result = await run
    figures = summarize(result)
    assert result.ended == "interrupted"
    assert 1 <= figures.finished <= 9
    assert dict(figures.failures) == {"interrupted": 10 - figures.finished}


def test_what_stops_a_run_before_it_begins(trace_file: Path) -> None:
    trace = load_trace(trace_file)
    with pytest.raises(NoServer, match=r"no server answers at http://127.0.0.1:9 \(connection refused"):
        run_bench(BenchConfig("127.0.0.1:9/v1", trace))
    with serving(FakeServer(max_model_len=40)) as fake, pytest.raises(ServerError, match=r"10 of 10 sessions .* 0.81"):
        run_bench(BenchConfig(fake.url, trace))
    with serving(FakeServer(api_key="k")) as fake:
        with pytest.raises(ServerError, match="wants an API key"):
            run_bench(BenchConfig(fake.url, trace))
        with pytest.raises(ServerError, match="doesn't serve other, it serves fake"):
            run_bench(BenchConfig(fake.url, trace, api_key="k", model="other"))
        assert not fake.asked


def test_the_hints_tell_what_they_are_named_after() -> None:
    session = SessionTrace("s", (Turn(10, 0, 5), Turn(40, 15, 7, 2.5, "tool"), Turn(60, 47, 9, 9.0, "user")), "qa")
    assert [xargs(session, index, "none") for index in range(3)] == [{}, {}, {}]
    assert [xargs(session, index, "tool") for index in range(3)] == [{"lamps_call_tool": "qa"}, {}, {}]
    assert [xargs(session, index, "oracle") for index in range(3)] == [
        {
            "lamps_call_tool": "qa",
            "lamps_output_tokens": 5,
            "lamps_call_duration_s": 2.5,
            "lamps_call_response_tokens": 25,
            "lamps_output_after_tokens": 16,
            "lamps_calls_left": 2,
            "lamps_call_time_left_s": 11.5,
        },
        {"lamps_output_tokens": 7, "lamps_call_chance": 0.0},
        {"lamps_output_tokens": 9, "lamps_call_chance": 0.0},
    ]


async def test_counters_are_summed_over_engines() -> None:
    with serving(FakeServer()) as fake:
        fake.asked = [{}, {}, {}]
        async with Client(fake.url, None, 1.0, 1) as client:
            assert await client.counters() == {
                "preemptions": 6.0, "prefix_cache_queries": 30.0, "prefix_cache_hits": 15.0
            }  # fmt: skip


def test_percentiles_interpolate() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0, 0.5, 1)] == [1, 2.5, 4]
    assert spread([3, 1, 2]).p95 == pytest.approx(2.9)
    assert quantile([5.0], 0.99) == 5
