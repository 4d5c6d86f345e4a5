"""The benchmark of replicas: its router is the example's but for ports and, in turns, the hash; what is compared."""

from __future__ import annotations

from benchmarks.replicas import CONFIGURATION, configuration, figures, table


def changed(way: str) -> list[tuple[str, str]]:
    before, after = CONFIGURATION.read_text().splitlines(), configuration(way, 7000, (7001, 7002)).splitlines()
    return [(old.strip(), new.strip()) for old, new in zip(before, after, strict=True) if old != new]


def test_the_router_is_the_examples() -> None:
    ports = changed("session")
    assert [old.split(":")[-1].split(" ")[0].rstrip(";") for old, _ in ports] == ["8001", "8002", "8000"]
    assert [new.split(":")[-1].split(" ")[0].rstrip(";") for _, new in ports] == ["7001", "7002", "7000"]
    assert [pair for pair in changed("turns") if pair not in ports] == [("hash $kept_together consistent;", "")]


def run(moved: int, cached: int) -> dict[str, object]:
    summary = {
        "sessions": 10, "recomputed_tokens": 1000 - cached, "ttft_turn_s": {"mean": 0.1},
        "without_tools_s": {"mean": 1.0},
    }  # fmt: skip
    return {"summary": summary, "moved": moved, "prompt_tokens": 2000, "cached_tokens": cached, "preserved_tokens": 50}


def test_figures_are_of_a_session_and_the_table_has_means_and_extremes() -> None:
    assert figures(run(3, 500)) == {
        "sessions that moved": 3,
        "prompt tokens from the cache, %": 25.0,
        "of them preserved, tokens a session": 5.0,
        "computed again, tokens a session": 50.0,
        "first token of a turn, s mean": 0.1,
        "session without its tools, s mean": 1.0,
    }
    shown = table({"session": [run(0, 500), run(0, 700)], "turns": [run(4, 100), run(6, 300)]}).splitlines()
    moved = next(line for line in shown if line.startswith("sessions that moved"))
    assert moved.split() == ["sessions", "that", "moved", "0", "(0", "to", "0)", "5", "(4", "to", "6)"]
    assert len({len(line) for line in shown}) == 1
