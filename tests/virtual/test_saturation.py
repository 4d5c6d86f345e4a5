"""Saturation: the search finds the rate up to which a queue goes away, always ends, and what it found is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.virtual import remembered
from engine_adapter.virtual import saturation as search
from engine_adapter.virtual.driver import run
from engine_adapter.virtual.saturation import NoSaturation, backlog, queue_of, saturation, serves, window
from engine_adapter.workload.arriving import Recorded
from engine_adapter.workload.load import Load, arrivals
from engine_adapter.workload.trace import SessionTrace, Trace, Turn
from tests.virtual.small import profile, session, simulation, trace


@given(st.floats(-6, 6))
def test_the_search_finds_any_rate(exponent: float) -> None:
    true = 10.0**exponent
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "serves", lambda trace, profile, rate: rate <= true)
        guess = search._guess(trace(), profile())
        if guess / search.FACTOR**60 < true < guess * search.FACTOR**60:
            assert saturation(trace(), profile()) == pytest.approx(true, rel=0.03)


@pytest.mark.parametrize("always", [True, False])
def test_a_search_without_an_end_ends(monkeypatch: pytest.MonkeyPatch, always: bool) -> None:
    tried: list[float] = []
    monkeypatch.setattr(search, "serves", lambda trace, profile, rate: tried.append(rate) or always)
    with pytest.raises(NoSaturation, match="every rate tried" if always else "none of the rates tried"):
        saturation(trace(), profile())
    assert len(tried) == 1 + search.MOST_TRIES
    assert all(0 < rate < math.inf for rate in tried)


def test_a_server_in_front_of_the_engine_takes_no_part_until_it_is_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "TURNS", 300)
    alone = saturation(trace(), profile())
    assert saturation(trace(), profile(overhead_s=1e-3, overhead_token_s=1e-6)) == alone
    turns = [turn for session in trace().sessions for turn in session.turns]
    takes_s = sum(100.0 + 0.5 * turn.prompt for turn in turns) / len(trace().sessions)
    slow = saturation(trace(), profile(overhead_s=100.0, overhead_token_s=0.5))
    assert slow == pytest.approx(1.0 / takes_s) and slow < alone


@pytest.mark.slow
def test_below_it_a_queue_goes_away_and_above_it_grows_with_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "TURNS", 1500)
    found = saturation(trace(), profile())
    assert found == saturation(trace(), profile())
    running, queue = queue_of(trace(), profile())

    def waiting(share: float, sessions: int) -> float:
        drawn = arrivals(trace(), Load(share * found, sessions, 5, replacement=True))
        coming = [replace(a.session, name=a.name, start_s=a.arrival_s) for a in drawn]
        late = Trace("drawn", (*backlog(trace(), running + queue), *coming))
        measured = run(simulation("stock", trace=late, load=Load(arriving=Recorded())), None)
        until_s = drawn[-1].arrival_s
        samples = [sample.waiting for sample in measured.timeline if 0.75 * until_s <= sample.at_s <= until_s]
        return sum(samples) / len(samples)

    assert max(waiting(0.8, 400), waiting(0.8, 1600)) < queue / 4
    assert queue < waiting(1.25, 400) < waiting(1.25, 1600) / 2


def test_a_backlog_is_of_sessions_in_their_midst() -> None:
    found = list(backlog(trace(), 2000))
    assert len({s.name for s in found}) == 2000
    assert all(s.start_s == s.turns[0].shared == s.turns[0].gap_s == 0 for s in found)
    # Every turn is as likely: of 40 sessions with one to four turns there are 100, of which 40 are a session's last.
    lasts = sum(len(s.turns) == 1 for s in found)
    assert lasts / 2000 == pytest.approx(0.4, abs=0.04)
    whole = {s.turns[1:]: len(s.turns) for s in trace().sessions}
    assert sum(s.turns[1:] in whole for s in found if len(s.turns) > 1) > 300


def test_a_run_that_the_engine_serves_at_once_is_told_from_one_it_never_does() -> None:
    assert serves(trace(), profile(), 0.1)
    assert not serves(trace(), profile(), 1000.0)


def test_a_window_holds_so_many_turns_of_sessions_in_their_midst() -> None:
    long = Trace("long", tuple(session(f"s{n}", *[(20, 5)] * 50, gap_s=100.0) for n in range(20)))
    seen = window(long, rate=2.0)
    closes_s = search.TURNS / 100
    assert sum(len(s.turns) for s in seen.sessions) == pytest.approx(search.TURNS, rel=0.1)
    assert max(s.start_s or 0.0 for s in seen.sessions) < closes_s
    assert all(s.turns[0].shared == 0 and s.turns[0].gap_s == 0 for s in seen.sessions)
    # A turn comes every 100 s and the window is shorter: nobody has two.
    assert {len(s.turns) for s in seen.sessions} == {1}
    # Every turn of a session is as likely as another: prompts are from 20 to 1245 tokens.
    prompts = [s.turns[0].prompt for s in seen.sessions]
    assert sum(prompts) / len(prompts) == pytest.approx((20 + 1245) / 2, rel=0.05)


def test_short_sessions_are_in_a_window_as_they_are() -> None:
    seen = window(trace(), rate=5.0)
    whole = {s.turns for s in trace().sessions}
    inside = [s for s in seen.sessions if s.turns in whole]
    assert len(inside) > 0.9 * len(seen.sessions)


def test_an_engine_too_small_for_most_sessions_is_told_the_scale_that_fits() -> None:
    large = Trace("large", (SessionTrace("a", (Turn(5000, 0, 120),)), SessionTrace("b", (Turn(10, 0, 1),)))[:1])
    with pytest.raises(NoSaturation, match=r"1 of the 1 sessions of large .* with lengths x 0\.2 all would fit"):
        saturation(large, profile())
    scaled = remembered.at_scale(large, Load(length_scale=0.2))
    assert max(session.longest for session in scaled.sessions) <= profile().longest


def test_what_was_found_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path))
    searched: list[int] = []
    monkeypatch.setattr(search, "saturation", lambda *given: searched.append(1) or 2.5)
    assert [remembered.saturation_of(trace(), profile()) for _ in range(2)] == [2.5, 2.5]
    assert len(searched) == 1
    assert remembered.recall(trace(), profile(max_num_seqs=8)) is None
    assert remembered.recall(trace(39), profile()) is None
    assert remembered.recall(remembered.at_scale(trace(), Load(gap_scale=2.0)), profile()) is None
    monkeypatch.setattr(search, "SEARCH", (0,))
    assert remembered.recall(trace(), profile()) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sessions_per_s": -1.0}', '{"sessions_per_s": NaN}', "\0"])
def test_a_damaged_file_is_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path))
    remembered.remember(trace(), profile(), 2.5)
    (file,) = (tmp_path / "saturation").iterdir()
    file.write_text(text)
    assert remembered.recall(trace(), profile()) is None


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAMPS_CACHE", str(tmp_path / "file"))
    remembered.remember(trace(), profile(), 2.5)
    assert remembered.recall(trace(), profile()) is None
