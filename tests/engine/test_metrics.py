"""The metrics: their names, their values, how they come into vLLM's answer, and what the dashboard reads of them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from engine_adapter.control.frames import Status, parse_status
from engine_adapter.control.metrics import METRICS, UP
from engine_adapter.vllm.api import metrics as metrics_module
from engine_adapter.vllm.api.metrics import AddedMetrics, Metrics, exposition
from engine_adapter.vllm.api.plugin import LampsEndpoints
from tests.engine.server import Server
from tests.engine.stepping import BLOCK
from tests.engine.test_scheduler import Make, make, prompt

__all__ = ["make"]  # the fixture
DASHBOARD = Path(__file__).parents[2] / "examples" / "grafana" / "lamps.json"
UNITS = ("_seconds", "_tokens", "_ratio", "_requests", "_sessions", "_pins", "_info", "_state", "_trial")


def read(text: bytes | str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """name -> labels -> value."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    decoded = text.decode() if isinstance(text, bytes) else text
    for family in text_string_to_metric_families(decoded):
        found.setdefault(family.name, {})
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def status_of(engine: Any) -> Status:
    answer = engine.scheduler.lamps_command("status", '{"rows": 0}')
    return parse_status(f'{{"version": 1, "engines": [{answer}, {answer}], "api": {{"verdicts_sent": 4}}}}')


def test_names_follow_the_conventions_of_prometheus() -> None:
    names = (
        "turns", "preemptions", "promotions", "hints.broken", "reloads", "guard.ejections", "guard.returns",
        "swap.refused", "swap.begun", "something.new", "decisions.swap", "followed.discard", "redecided.swap",
        "pins.used", "pins.tokens_reused", "copies.lost", "copies.tokens_reused", "transfers.tokens_in",
        "transfers.us_in", "faults.rank", "overruns.rank", "verdicts.call", "log.written",
    )  # fmt: skip
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert metric.name.startswith("lamps_") and metric.help.endswith((".", "..."))
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.kind == "counter" or metric.name.endswith(UNITS)


def test_values_are_those_of_the_engine(make: Make) -> None:
    engine = make(blocks=41)
    engine.add("held", prompt(1, 64), 17, session="s", lamps_call_tool="search")
    engine.run()
    found = read(exposition(status_of(engine), "0"))
    one, other = (("engine", "0"),), (("engine", "1"),)
    assert found["lamps_pins"] == {one: 1, other: 1}
    assert found["lamps_pinned_tokens"][one] == 80
    assert found["lamps_pinned_ratio"][one] == 80 / (40 * BLOCK)
    assert found["lamps_kv_tokens"][(*one, ("state", "pinned"))] == 80
    assert sum(value for labels, value in found["lamps_kv_tokens"].items() if one[0] in labels) == 40 * BLOCK
    assert found["lamps_decisions_total"][(*one, ("handling", "preserve"))] == 1
    assert found["lamps_turns_total"][one] == 1
    assert found["lamps_generated_tokens_total"][one] == 17
    assert found["lamps_rule_evaluations_total"][(*one, ("rule", "on call"))] >= 1
    assert found["lamps_guard_state"][(*one, ("state", "ok"))] == 1
    assert found["lamps_guard_state"][(*one, ("state", "ejected"))] == 0
    ((labels, value),) = (item for item in found["lamps_policy_info"].items() if one[0] in item[0])
    assert value == 1 and dict(labels)["revision"] == engine.scheduler.lamps.policy.revision
    assert found["lamps_verdict_deliveries_total"][(("api_server", "0"), ("result", "sent"))] == 4


def test_every_counter_of_the_engine_is_in_some_metric_and_in_one_alone(make: Make) -> None:
    engine = make()
    engine.add("a", prompt(1, 64), 5, session="s")
    engine.run()
    counters = engine.scheduler.lamps.counters
    counters.clear()
    names = [
        "turns",
        "preemptions",
        "promotions",
        "hints.broken",
        "reloads",
        "guard.ejections",
        "guard.returns",
        "swap.refused",
        "something.new",
        "decisions.swap",
        "followed.discard",
        "redecided.swap",
        "pins.used",
        "pins.tokens_reused",
        "copies.lost",
        "copies.tokens_reused",
        "transfers.tokens_in",
        "transfers.us_in",
        "faults.rank",
        "verdicts.call",
        "log.written",
        "swap.begun",
    ]
    quiet = read(exposition(status_of(engine), "0"))
    for name in names:
        counters.update({name: 1_000_000})
        told = read(exposition(status_of(engine), "0"))
        differing = [
            metric
            for metric, samples in told.items()
            if any(value != quiet.get(metric, {}).get(labels, 0) for labels, value in samples.items())
        ]
        assert len(differing) == 1, (name, differing)
        counters.clear()


def test_an_engine_that_does_not_answer_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "TIMEOUT_S", 0.01)

    async def hangs() -> bytes:
        await asyncio.Event().wait()
        return b""

    assert read(asyncio.run(Metrics(hangs, "0").text())) == {UP[0]: {(): 0}}


def app(answer: Response, metrics: Metrics | None) -> TestClient:
    async def scraped(request: Any) -> Response:
        return answer

    made = Starlette(routes=[Route("/metrics", scraped), Route("/other", scraped)])
    made.add_middleware(AddedMetrics, metrics=lambda: metrics)
    return TestClient(made)


def asking(text: bytes) -> tuple[Callable[[], Awaitable[bytes]], list[int]]:
    asked: list[int] = []

    async def ask() -> bytes:
        asked.append(1)
        return text

    return ask, asked


STATUS = b'{"version": 1, "engines": [{"version": 1, "policy": {"name": "p", "revision": "r"}}]}'


def test_vllms_answer_gets_ours_behind_it_and_the_engine_is_asked_once_a_second() -> None:
    ask, asked = asking(STATUS)
    client = app(PlainTextResponse("# TYPE a gauge\na 1.0\n"), Metrics(ask, "0"))
    for _ in range(3):
        answer = client.get("/metrics")
        found = read(answer.text)
        assert found["a"] == {(): 1} and found["lamps_up"] == {(): 1}
        assert int(answer.headers["content-length"]) == len(answer.content)
    assert len(asked) == 1
    assert client.get("/other").text == "# TYPE a gauge\na 1.0\n"


def test_vllms_own_routes_get_ours_too() -> None:
    from vllm.entrypoints.serve.instrumentator.metrics import attach_router

    made, plugin = FastAPI(), LampsEndpoints()
    attach_router(made)
    plugin.attach_router(made)
    plugin._metrics = Metrics(asking(STATUS)[0], "0")
    found = read(TestClient(made).get("/metrics").text)
    assert found["lamps_up"] == {(): 1}
    assert found["lamps_policy_info"] == {(("engine", "0"), ("policy", "p"), ("revision", "r")): 1}
    assert any(not name.startswith("lamps_") for name in found)


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("no", 404),
        Response(b"zip", headers={"content-encoding": "gzip"}, media_type="text/plain"),
        Response(b"{}", media_type="application/json"),
    ],
)
def test_an_answer_that_is_no_text_stays_as_it_is(answer: Response) -> None:
    ask, asked = asking(STATUS)
    client = app(answer, Metrics(ask, "0"))
    client.headers["accept-encoding"] = "identity"
    with client.stream("GET", "/metrics") as got:
        assert b"".join(got.iter_raw()) == answer.body
    assert not asked


def test_without_our_scheduler_nothing_is_added() -> None:
    assert app(PlainTextResponse("a 1\n"), None).get("/metrics").text == "a 1\n"


def test_the_dashboard_reads_what_there_is() -> None:
    status = parse_status(STATUS)
    known = read(exposition(status, "0"))
    # Without samples a counter's family is known by its name less the suffix.
    names = set(known) | {f"{name}_total" for name in known}
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 38  # Grafana 10
    expressions = [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]
    expressions += [one["expr"] for one in dashboard["annotations"]["list"]]
    expressions += [one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    labels = {metric.name: {"engine", "job", "instance", *metric.labels} for metric in METRICS}
    for expression in expressions:
        used = re.findall(r"\b(lamps_\w+)", expression)
        assert used and set(used) <= names, expression
        for by in re.findall(r"sum by \(([^)]*)\)", expression):
            assert all(set(by.split(", ")) <= labels.get(name, {"result", "job"}) for name in used), expression
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.mark.server
def test_the_servers_answer_has_vllms_and_ours(server: Server) -> None:
    with server.http() as http:
        text = http.get("/metrics").text
    found = read(text)
    assert found["lamps_up"] == {(): 1}
    assert "vllm:num_requests_running" in found
    assert found["lamps_kv_tokens"]
    for metric in METRICS:
        assert metric.name in found or metric.name.removesuffix("_total") in found
