"""Comparisons carried out against made-up servers: the order, what is kept, a server that dies, going on afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine_adapter.workload.arriving import Closed
from engine_adapter.workload.load import Load
from engine_adapter.workload.replay import BenchConfig
from engine_adapter.workload.result import SessionResult
from engine_adapter.workload.trace import load_trace
from lamps_cli.measuring import carrying, machine
from lamps_cli.measuring import saturation as searching
from lamps_cli.measuring.asked import Asked, Point, System, load_of, planned, points_of, warming
from lamps_cli.measuring.carrying import measure
from lamps_cli.measuring.runs_file import RunsFile
from lamps_cli.measuring.saturation import NoSaturation, served_per_s
from lamps_cli.measuring.view import document, render, warnings
from tests.measuring import made
from tests.workload.fake_server import FakeServer, serving

RATE = (Point("rate", 100.0),)


def quiet(text: str, share: float) -> None:
    assert 0 <= share <= 1


@pytest.fixture(autouse=True)
def _short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_LOOK_S", 0.01)


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    with serving(FakeServer()) as one, serving(FakeServer()) as other:
        yield one, other


@pytest.fixture
def asked(tmp_path: Path, servers: tuple[FakeServer, FakeServer]) -> Asked:
    trace = load_trace(made.write_trace(tmp_path / "small.jsonl"))
    systems = tuple(System(name, url=fake.url) for name, fake in zip(("one", "other"), servers, strict=True))
    return Asked(systems, trace, Load(), RATE, (0, 1), warm_up=2)


@pytest.fixture
def file(tmp_path: Path) -> RunsFile:
    return RunsFile.read(tmp_path / "runs.jsonl")


def test_the_order_turns_and_no_seed_begins_before_another_is_whole() -> None:
    about = made.asked("a", "b", "c", points=points_of("load", [0.5, 1.0]), seeds=2)
    order = [(run.seed, run.point.at, run.system.name) for run in planned(about)]
    assert "".join(name for *_, name in order) == "abcbcabcacab"
    assert [seed for seed, *_ in order] == [0] * 6 + [1] * 6
    assert len(set(order)) == len(order)


def test_every_system_gets_the_same_load_and_another_warm_up() -> None:
    about = made.asked("a", "b", points=points_of("load", [0.5]))
    load = load_of(about, Point("load", 0.5), 3, 8.0)
    assert (load.rate, load.seed, load.sessions) == (4.0, 3, 10)
    assert load_of(about, Point("clients", 7.0), 3, None).arriving == Closed(7)
    before = warming(load, 5)
    assert (before.sessions, before.gap_scale) == (5, 0.1)
    assert before.seed not in range(1000)


def test_a_comparison_is_kept_and_not_made_again(asked: Asked, file: RunsFile, servers) -> None:
    measured = measure(asked, file, quiet)
    assert len(measured.whole) == 4
    assert not warnings(replace_calm(measured))
    for fake in servers:
        prompts = [body["prompt"] for body in fake.asked]
        # Of each of two runs the turns of two sessions of the warm-up and of six that are counted.
        assert len(prompts) == 2 * (2 + 6) * 2
    one, other = ([body["prompt"] for body in fake.asked] for fake in servers)
    assert sorted(one) == sorted(other)
    text = render(measured)
    assert "at 100/s, 2 seeds" in text
    assert text.splitlines()[3].split() == ["one", "other"]

    before = len(servers[0].asked)
    again = measure(asked, RunsFile.read(file.path), quiet)
    assert list(again.runs) == list(measured.runs)
    one = next(iter(again.runs))
    again.runs[one] = replace(again.runs[one], began="2026-01-01T00:00:00+00:00")
    assert any(said.startswith("runs of rate 100, seed 0 began ") for said in warnings(replace_calm(again)))
    assert len(servers[0].asked) == before


def replace_calm(measured):
    """The same on a machine that did nothing else: the one of a test may."""
    measured.runs = {run: replace(line, disturbance=made.CALM) for run, line in measured.runs.items()}
    return measured


def test_a_server_that_dies_costs_its_own_runs(asked: Asked, file: RunsFile, servers) -> None:
    one, _ = servers
    one.delay_s = 0.2
    dying = threading.Thread(target=die_after, args=(one, 8))
    dying.start()
    measured = measure(asked, file, quiet)
    dying.join()
    by_system = {
        name: [line.partial for run, line in measured.runs.items() if run.system.name == name]
        for name in ("one", "other")
    }
    assert by_system["other"] == ["", ""]
    first, second = by_system["one"]
    assert first.startswith("PARTIAL, server gone after ")
    assert second.startswith("no result: no server answers at ")
    assert "2 runs are partial and not in the figures: one at rate 100, seed 0, one at rate 100, seed 1" in warnings(
        replace_calm(measured)
    )
    assert "PARTIAL: 2 of 4 runs" in render(measured)
    assert [run["partial"] == "" for run in document(measured)["runs"]] == [False, True, True, False]
    kept = RunsFile.read(file.path)
    assert sum(line.whole for line in kept.lines) == 2


def die_after(fake: FakeServer, requests: int) -> None:
    """Stop *fake* once it was asked so often: after the warm-up, in the midst of the first run."""
    while len(fake.asked) < requests:
        pass
    fake.stop()


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(
    asked: Asked, file: RunsFile, servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = carrying.run_bench
    runs = 0

    def interrupted_in_the_fourth_run(config, progress=None):
        nonlocal runs
        found = replayed(config, progress)
        runs += progress is not None
        return replace(found, ended="interrupted") if runs == 4 and progress is not None else found

    monkeypatch.setattr(carrying, "run_bench", interrupted_in_the_fourth_run)
    measured = measure(asked, file, quiet)
    assert measured.interrupted
    assert len(measured.whole) == 3
    said = warnings(replace_calm(measured))
    assert said[0] == "interrupted at 75%: 3 of 4 runs are done; the same command goes on"
    before = len(servers[0].asked) + len(servers[1].asked)
    again = measure(asked, RunsFile.read(file.path), quiet)
    assert not again.interrupted
    assert len(again.whole) == 4
    # The one run that was missing, with its warm-up.
    assert len(servers[0].asked) + len(servers[1].asked) - before == (2 + 6) * 2


def test_results_of_another_version_are_named_and_not_mixed(
    asked: Asked, file: RunsFile, servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(asked, file, quiet)
    monkeypatch.setattr("lamps_cli.measuring.runs_file.lamps_version", lambda: "99.0")
    again = measure(asked, RunsFile.read(file.path), quiet)
    assert len(again.others) == 4
    assert any("4 runs of the same in the file are of another version or machine" in said for said in warnings(again))
    assert all(line.made_by["lamps"] == "99.0" for line in again.runs.values())


def test_loads_are_shares_of_what_a_closed_loop_completes(asked: Asked, file: RunsFile, monkeypatch) -> None:
    searched = []

    def found(config, tell):
        searched.append(config.url)
        return 100.0

    monkeypatch.setattr(carrying, "saturation", found)
    asked = replace(asked, points=points_of("load", [0.5, 2.0]), seeds=(0,))
    measured = measure(asked, file, quiet)
    assert searched == [asked.systems[0].url]
    rates = {run.point.at: result.load.rate for run, result in measured.whole.items()}
    assert rates == {0.5: 50.0, 2.0: 200.0}
    again = measure(asked, RunsFile.read(file.path), quiet)
    assert (again.saturation, len(searched)) == (100.0, 1)
    again.others_then = 0.5
    assert any(said.startswith("others took 0.50 cores while saturation") for said in warnings(again))


def searched(asked: Asked, monkeypatch, completes) -> tuple[float, list[int]]:
    """The saturation of a server that completes so many sessions a second for so many clients, and the tries."""
    tried = []

    def made_up(config, clients, tell):
        tried.append(clients)
        every_s, takes_s = completes(clients)
        sessions = [session for seed in range(80) for session in made.result(seed, 1.0).sessions]
        for number, session in enumerate(sessions):
            session.arrival_s = number * every_s
            for turn in session.turns:
                turn.done_s, turn.output_tokens = session.arrival_s + takes_s, 0
            session.turns[-1].output_tokens = round(searching.tokens_of_a_session(config) or 0)
        return replace(made.result(0, 1.0), sessions=tuple(sessions))

    monkeypatch.setattr(searching, "_tried", made_up)
    return searching.saturation(BenchConfig("http://nowhere", asked.trace), lambda text: None), tried


def test_clients_are_doubled_until_they_complete_no_more(asked: Asked, monkeypatch) -> None:
    """A server that completes one session a second and client, up to 40 clients; behind, it completes 30."""

    def completes(clients: int) -> tuple[float, float]:
        every_s = 1 / (clients if clients <= 40 else 30)
        return every_s, clients * every_s

    found, tried = searched(asked, monkeypatch, completes)
    assert found == pytest.approx(30, rel=0.05)
    assert tried == [16, 32, 64]
    monkeypatch.setattr(searching, "MOST", 32)
    with pytest.raises(NoSaturation, match="32 clients don't saturate the server: they complete 32"):
        searched(asked, monkeypatch, completes)


def test_a_rate_that_is_small_by_chance_is_no_saturation(asked: Asked, monkeypatch) -> None:
    """Of 32 clients as few sessions end as of 16 while one looks, but none takes longer: nobody waits."""

    def completes(clients: int) -> tuple[float, float]:
        rate = {16: 16.0, 32: 16.0, 64: 60.0}.get(clients, 70.0)
        return 1 / rate, 1.0 if clients <= 32 else clients / rate

    found, tried = searched(asked, monkeypatch, completes)
    assert found == pytest.approx(70, rel=0.05)
    assert tried == [16, 32, 64, 128, 256]


def one_every_two_seconds() -> tuple[SessionResult, ...]:
    sessions = [session for seed in range(3) for session in made.result(seed, 1.0).sessions]
    for number, session in enumerate(sessions):
        session.arrival_s = number * 2.0
        session.turns[-1].done_s = session.arrival_s + 4.0
        for turn in session.turns[:-1]:
            turn.done_s = session.arrival_s
        for turn in session.turns:
            turn.output_tokens = 10
    return tuple(sessions)


def test_the_rate_of_a_closed_loop_is_of_the_time_when_all_clients_work() -> None:
    sessions = one_every_two_seconds()
    # One ends every two seconds, from 4 s on; the third's end is at 24 s, the last begins at 58 s.
    assert served_per_s(sessions, None) == pytest.approx(17 / 34)
    sessions[3].error = "connection lost"
    with pytest.raises(NoSaturation, match="1 sessions failed while saturation was measured: connection lost"):
        served_per_s(sessions, None)


def test_a_session_that_has_done_half_of_its_tokens_counts_as_half() -> None:
    sessions = one_every_two_seconds()
    each = sum(turn.output_tokens for turn in sessions[0].turns)
    assert served_per_s(sessions, 2.0 * each) == pytest.approx(17 / 34 / 2)
    sessions[20].turns[-1].output_tokens += each
    assert served_per_s(sessions, each) == pytest.approx(18 / 34)


def test_a_session_is_what_the_load_says_of_the_trace_or_what_the_model_says(asked: Asked) -> None:
    config = BenchConfig("http://nowhere", asked.trace, load=Load(length_scale=3.0))
    planned = [sum(turn.output for turn in session.turns) for session in asked.trace.sessions]
    assert searching.tokens_of_a_session(config) == pytest.approx(3.0 * sum(planned) / len(planned), rel=0.05)
    assert searching.tokens_of_a_session(replace(config, prompts="text")) is None
