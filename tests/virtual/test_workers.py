"""Workers: one job after the other in a process, and what becomes of a job whose process breaks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine_adapter.virtual.jobs import JobError, Saturation, Search
from engine_adapter.virtual.simulate import SimResult, simulate
from engine_adapter.virtual.workers import Said, Workers
from tests.virtual.small import profile, simulation, trace

# A worker that answers each search with how many sessions its trace has, and breaks in the way that the trace's name
# says.
FAKE = """
import json, os, signal, sys, time
for line in sys.stdin:
    trace = json.loads(line)["trace"]
    match trace["name"]:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bug":
            sys.exit("ValueError: a bug")
        case "garbage":
            print("garbage", flush=True)
        case "error":
            print(json.dumps({"error": "no such thing"}), flush=True)
        case "hang":
            time.sleep(600)
        case _:
            print(json.dumps({"progress": 0.5}))
            print(json.dumps({"sessions_per_s": float(trace["lines"].count("\\n"))}), flush=True)
    open("pids", "a").write(f"{os.getpid()}\\n")
"""


def search(name: str, sessions: int = 1) -> Search:
    given = trace(sessions)
    return Search(type(given)(name, given.sessions), profile())


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workers:
    monkeypatch.chdir(tmp_path)
    return Workers(at_once=2, command=[sys.executable, "-c", FAKE])


def answers(said: list[Said]) -> dict[int, object]:
    return {one.number: one.what for one in said if not isinstance(one.what, float)}


def test_as_many_processes_as_wanted_do_all_jobs(workers: Workers, tmp_path: Path) -> None:
    with workers:
        said = list(workers.run([search("fine", n) for n in range(1, 21)]))
        more = list(workers.run([search("fine", 7)]))
    assert answers(said) == {n: Saturation(n + 1.0) for n in range(20)}
    assert answers(more) == {0: Saturation(7.0)}
    assert Said(0, 0.5) in said
    assert 1 <= len(set((tmp_path / "pids").read_text().split())) <= 2


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("killed", "its worker was killed by SIGKILL, as happens when memory runs out"),
        ("bug", "its worker ended with status 1 and no result: ValueError: a bug"),
        ("garbage", "its worker broke: "),
        ("error", "no such thing"),
    ],
)
def test_a_worker_that_breaks_loses_its_job_alone(workers: Workers, name: str, why: str) -> None:
    with workers:
        found = answers(list(workers.run([search(name), *(search("fine", n) for n in range(2, 8)), search(name)])))
    for number in (0, 7):
        lost = found.pop(number)
        assert isinstance(lost, JobError)
        assert str(lost).startswith(why)
    assert found == {n: Saturation(n + 1.0) for n in range(1, 7)}


def test_leaving_ends_workers_that_hang(workers: Workers) -> None:
    with workers:
        said = workers.run([search("fine"), search("hang"), search("hang"), search("hang")])
        assert isinstance(next(said).what, float)
        processes = [worker._process for worker in workers._workers]
    assert [process.poll() for process in processes if process is not None] == [-9, -9]


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with Workers(command=[str(tmp_path / "none")]) as broken:
        (said,) = broken.run([search("fine")])
    assert isinstance(said.what, JobError)
    assert "No such file" in str(said.what)


@pytest.mark.slow
def test_the_second_run_of_a_process_is_as_the_first_of_another() -> None:
    given = [simulation("stock"), simulation("lamps"), simulation("lamps", predict="oracle")]
    with Workers(at_once=1) as one:
        said = {said.number: said.what for said in one.run(given)}
    for number, job in enumerate(given):
        assert isinstance(said[number], SimResult)
        assert said[number] == simulate(job)
