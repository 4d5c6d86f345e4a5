"""What two runs of one load did differently: made-up runs by hand, and any runs by what must hold of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.workload.record import Decision, Record
from lamps_cli.report.difference import Difference, difference, first_divergence
from lamps_cli.report.difference_view import show
from tests.report.made import GIVEN_UP, KEPT

GOLDEN = Path(__file__).parent / "difference.out"
DIFFERENT = difference(("keep", "drop"), 0.9, 0, KEPT, GIVEN_UP)


def test_the_sessions_that_changed_and_why() -> None:
    assert (DIFFERENT.faster, DIFFERENT.slower, DIFFERENT.same) == (1, 1, 1)
    (lost,), (gained,) = DIFFERENT.lost, DIFFERENT.gained
    assert (lost.session, lost.change_s, lost.waited_s, lost.tokens_again) == ("a", 0.75, 0.75, 64)
    assert lost.handled == ((0, "preserve", "discard"),)
    assert (gained.session, gained.change_s, gained.stopped_s) == ("c", -0.75, -1.0)


def test_calls_by_how_each_handled_them() -> None:
    (handled,) = DIFFERENT.handled
    assert (handled.one, handled.other, handled.calls) == ("preserve", "discard", 1)
    assert (handled.ttft_s, handled.tokens_again) == (0.75, 64)


def test_the_first_divergence_is_the_kept_cache() -> None:
    found = DIFFERENT.divergence
    assert found is not None
    assert (found.at_s, found.other) == (1.0, ())
    assert [(d.what, d.request) for d in found.one] == [("preserve", "a/0")]
    assert found.later == (("other", 1.0, "discard"),)


def test_how_it_reads() -> None:
    shown = show(replace(DIFFERENT, explained=(("keep", "at 1.000 s\na: paused"),))) + "\n"
    assert shown == GOLDEN.read_text()


def test_the_same_run_twice_is_no_difference() -> None:
    same = difference(("one", "other"), None, 0, KEPT, KEPT)
    assert (same.faster, same.slower, same.same, same.divergence) == (0, 0, 3, None)
    assert show(same).splitlines()[:3] == [
        "other against one, seed 0",
        "  sessions: 0 faster with other, 0 slower, 3 the same",
        "  they never decide differently",
    ]


def test_beyond_what_was_recorded_nothing_is_claimed() -> None:
    cut = replace(KEPT[1], decisions=KEPT[1].decisions[:2], left_out=6)
    found: Difference = difference(("one", "other"), None, 0, (KEPT[0], cut), GIVEN_UP)
    assert found.divergence is None
    assert "as far as decisions were recorded" in show(found)


def test_sessions_that_only_one_finished_are_counted() -> None:
    unfinished = tuple(replace(s, turns=s.turns[:0]) for s in GIVEN_UP[0])
    found = difference(("one", "other"), None, 0, KEPT, (unfinished, GIVEN_UP[1]))
    assert (found.only_one, found.only_other, found.same) == (3, 0, 0)


DECISIONS = st.lists(
    st.builds(
        Decision,
        st.sampled_from((0.0, 1.0, 2.0, 3.0)),
        st.just(1),
        st.sampled_from(("start", "preempt", "preserve", "discard", "unpin")),
        st.sampled_from(("a/0", "b/0", "c/1")),
    ),
    max_size=12,
).map(lambda found: Record(tuple(sorted(found, key=lambda d: d.at_s))))


@given(DECISIONS, DECISIONS)
def test_before_the_first_divergence_both_decide_alike(one: Record, other: Record) -> None:
    found = first_divergence(one, other)
    until = found.at_s if found is not None else 9.0
    before = [
        {(d.at_s, d.what, d.request) for d in r.decisions if d.at_s < until and d.what not in ("discard", "unpin")}
        for r in (one, other)
    ]
    assert before[0] == before[1]
    turned = first_divergence(other, one)
    assert (found is None) == (turned is None)
    if found is not None and turned is not None:
        assert (found.at_s, found.one, found.other) == (turned.at_s, turned.other, turned.one)


@pytest.mark.parametrize("what", ["start", "preempt", "preserve"])
def test_one_decision_more_is_the_divergence(what: str) -> None:
    more = Decision(2.5, 20, what, "b/0")  # type: ignore[arg-type]
    ordered = sorted((*KEPT[1].decisions, more), key=lambda d: d.at_s)
    found = first_divergence(KEPT[1], replace(KEPT[1], decisions=tuple(ordered)))
    assert found is not None
    assert (found.at_s, found.one, found.other) == (2.5, (), (more,))
