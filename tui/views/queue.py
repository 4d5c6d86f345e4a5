"""Queue: what waits, in the policy's order, with the terms that made it, and why the first of them is not running."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text

from engine_adapter.control.frames import Frame, Term, Waiting
from engine_adapter.control.naming import short
from tui.glyphs import count, seconds, value
from tui.model import PLAIN, Moment
from tui.rows import Column, amount
from tui.views.base import TableView

# Why a request isn't running, in a sentence.
HELD = {
    "kv": "no KV memory is free for it",
    "seats": "as many requests run as may (--max-num-seqs)",
    "token budget": "this step's tokens are spoken for (--max-num-batched-tokens)",
    "gate": "the policy's `admit` says no",
    "loading": "its KV cache is on its way from elsewhere",
    "fault": "the policy's rank fails for it",
    "": "nothing is known to hold it: it may start at the next step",
}
_MOST_TERMS = 5
# A call less likely than this is none.
_LIKELY = 0.005


class Queue(TableView):
    title: ClassVar[str] = "Queue"
    judged: ClassVar[Sequence[str]] = ("waiting",)
    nothing: ClassVar[str] = "nothing waits"
    subject: ClassVar[str] = "Why it stands there"

    def columns(self, moment: Moment) -> Sequence[Column[Waiting]]:
        frame = moment.frame
        terms = _ranking_terms(frame) if frame is not None else []
        ranks = [
            Column(
                term.text if len(term.text) <= 10 else f"{term.text[:9]}{self.app.look.glyphs.ellipsis}",  # type: ignore[attr-defined]
                10, partial(_term, place), right=True, sort=partial(_term_number, place), spare=3,
            )
            for place, term in terms[:_MOST_TERMS]
        ]  # fmt: skip
        return [
            Column("#", 5, lambda r: str(r.place), right=True, sort=lambda r: r.place),
            Column("request", 12, lambda r: short(r.id), sort=lambda r: r.id, spare=5, name=True),
            Column("session", 0, lambda r: r.session, sort=lambda r: r.session, name=True),
            amount("waited", 7, lambda r: r.waited_s, seconds),
            amount("prompt", 7, lambda r: r.prompt_tokens, count),
            amount("cached", 7, lambda r: r.cached_tokens, count, spare=4),
            Column(
                "output",
                7,
                lambda r: count(r.output_tokens),
                right=True,
                sort=lambda r: r.output_tokens or 0.0,
                spare=2,
            ),
            Column("then", 14, _call, sort=lambda r: r.tool, spare=6),
            *ranks,
            Column("held by", 13, _held, colour=_held_colour, sort=lambda r: r.held_by, spare=1),
        ]

    def rows(self, moment: Moment) -> Sequence[Waiting]:
        return moment.frame.waiting if moment.frame is not None else ()

    def key(self, row: Waiting) -> object:
        return row.id

    def words(self, row: Waiting) -> str:
        return f"{row.id} {row.session} {row.tenant} {row.tool} {_held(row)}"

    def summary(self, moment: Moment) -> str:
        frame = moment.frame
        if frame is None:
            return ""
        if frame.policy.name == PLAIN:
            return f"{frame.waiting_total:,} wait; only a lamps server tells which"
        listed = f", {len(frame.waiting):,} listed" if len(frame.waiting) < frame.waiting_total else ""
        return f"{frame.waiting_total:,} wait{listed}"

    def detail(self, row: Waiting, width: int) -> list[Text]:
        frame, look = self.moment.frame, self.app.look  # type: ignore[attr-defined]
        assert frame is not None
        ahead = next((other for other in frame.waiting if other.place == row.place - 1), None)
        promoted = (", promoted: it goes before all that are not", "warn") if row.promoted else ""
        lines = [look.text((short(row.id), "bold accent"), f" of session {row.session}, turn {row.turn}", promoted)]
        why = HELD.get(row.held_by, row.held_by)
        if ahead is not None and row.held_by.startswith("behind"):
            why = f"it stands behind {short(ahead.id)}; {_decides(frame, row, ahead)}"
        lines.append(look.prose(("not running: ", "dim"), why))
        called = f"{row.tool or 'a call'} with a chance of {row.chance:.0%}, its KV would be: {row.foreseen}"
        foreseen = called if row.chance >= _LIKELY else "its session ends"
        if row.foreseen:
            lines.append(look.prose(("foreseen: ", "dim"), f"{count(row.output_tokens)} tokens, then {foreseen}"))
        wide = min(max(width - (36 if ahead is not None else 12), 12), 30)
        header = f"{'term':<{wide}}{'this':>12}" + (f"{'ahead':>12}{'difference':>12}" if ahead is not None else "")
        lines.append(look.text((header, "dim")))
        for place, term in enumerate(frame.policy.terms):
            lines.append(
                look.text(
                    *_term_line(
                        term, _at(row, place), None if ahead is None else _at(ahead, place), ahead is not None, wide
                    )
                )
            )
        return lines

    def about(self, row: Waiting) -> str:
        return row.id

    def help(self) -> str:
        return (
            "Requests that wait, in the order in which they will be admitted; enter explains one against the one ahead."
        )


def _ranking_terms(frame: Frame) -> list[tuple[int, Term]]:
    """The terms worth a column: an instant of arrival says nothing that `waited` doesn't."""
    return [(place, term) for place, term in enumerate(frame.policy.terms) if term.unit != "instant"]


def _at(row: Waiting, place: int) -> float | None:
    return row.terms[place] if place < len(row.terms) else None


def _term(place: int, row: Waiting) -> str:
    return value(_at(row, place)) if row.terms else "-"


def _term_number(place: int, row: Waiting) -> float:
    found = _at(row, place)
    return float("inf") if found is None else found


def _term_line(
    term: Term, mine: float | None, theirs: float | None, compared: bool, wide: int
) -> list[str | tuple[str, str]]:
    """*wide*: columns of its name."""
    sign = "-" if term.negative else ""
    name = f"{'highest ' if term.highest else ''}{sign}{term.text}"
    line: list[str | tuple[str, str]] = [f"{name[: wide - 1]:<{wide}}", (f"{value(mine):>12}", "bold text")]
    if compared:
        line.append(f"{value(theirs):>12}")
        if mine is not None and theirs is not None:
            more = (mine - theirs) * (-1 if term.negative != term.highest else 1)
            line.append((f"{mine - theirs:>+12.4g}", "bad" if more > 0 else "good" if more < 0 else "dim"))
    return [*line, (f" {term.unit}", "dim")]


def _decides(frame: Frame, row: Waiting, ahead: Waiting) -> str:
    """The first key in which the two differ, as words."""
    if row.promoted != ahead.promoted:
        return "that one is promoted"
    for number, (mine, theirs) in enumerate(zip(row.rank, ahead.rank, strict=False)):
        if mine != theirs:
            terms = [term for term in frame.policy.terms if term.key == number]
            text = " + ".join(term.text for term in terms) or "arrival"
            return f"`{text}` decides: {value(mine)} against {value(theirs)}"
    return "the keys are equal and that one arrived earlier"


def _call(row: Waiting) -> str:
    if not row.foreseen:
        return "-"
    if row.chance < _LIKELY:
        return "end"
    return f"{row.tool or 'call'} {row.chance:.0%}"


def _held(row: Waiting) -> str:
    if row.promoted:
        return "promoted"
    return "the one ahead" if row.held_by.startswith("behind ") else row.held_by or "-"


def _held_colour(row: Waiting) -> str:
    if row.promoted:
        return "good"
    return "dim" if row.held_by.startswith("behind ") else "warn"
