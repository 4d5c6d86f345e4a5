"""Calls: sessions paused in a call, what became of their KV cache, what it has cost, what would be decided now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text

from engine_adapter.control.frames import Paused
from tui.glyphs import count, seconds
from tui.model import PLAIN, Moment, paused_of
from tui.rows import Column, amount
from tui.views.base import TableView

LOST = {
    "expired": "its time was over",
    "yielded_running": "it gave way to a running request",
    "yielded_idle": "it gave way: nothing was running",
    "yielded_promoted": "it gave way to a promoted request",
    "limit": "a limit sank below what was held",
    "dropped": "all were dropped, by a cache reset",
}
_HANDLINGS = {"preserve": "accent", "swap": "accent", "discard": "dim", "provisional": "warn"}


class Calls(TableView):
    title: ClassVar[str] = "Calls"
    judged: ClassVar[Sequence[str]] = ("paused",)
    nothing: ClassVar[str] = "no session is paused"
    subject: ClassVar[str] = "What was decided, and what would be now"

    def columns(self, moment: Moment) -> Sequence[Column[Paused]]:
        return [
            Column("session", 0, lambda r: r.session, sort=lambda r: r.session, name=True),
            Column("calls", 12, lambda r: r.tool or "-", sort=lambda r: r.tool),
            amount("for", 7, lambda r: r.age_s, seconds),
            Column(
                "predicted", 9, _predicted, right=True, sort=lambda r: r.expected_s or 0.0, largest=True, colour=_late
            ),
            Column("KV", 11, _handling, sort=lambda r: r.handling, colour=lambda r: _HANDLINGS.get(r.handling, "text")),
            amount("held", 7, lambda r: r.tokens or None, count),
            amount("waste", 8, lambda r: r.held_token_s or None, count, spare=2),
            amount("to redo", 7, lambda r: r.redo_s, seconds, spare=3),
            Column("now", 14, lambda r: r.now or "-", sort=lambda r: r.now, colour=_changed, spare=1),
        ]

    def rows(self, moment: Moment) -> Sequence[Paused]:
        return moment.frame.paused if moment.frame is not None else ()

    def key(self, row: Paused) -> object:
        return row.session

    def words(self, row: Paused) -> str:
        return f"{row.session} {row.tool} {row.handling} {row.lost}"

    def summary(self, moment: Moment) -> str:
        frame = moment.frame
        if frame is None:
            return ""
        if frame.policy.name == PLAIN:
            return "only a lamps server knows of calls"
        listed = f", {len(frame.paused):,} listed" if len(frame.paused) < paused_of(frame) else ""
        return f"{paused_of(frame):,} paused{listed}, {count(frame.pins.tokens)} tokens held ({frame.pins.share:.0%})"

    def detail(self, row: Paused, width: int) -> list[Text]:
        frame, look = self.moment.frame, self.app.look  # type: ignore[attr-defined]
        assert frame is not None
        lines = [look.text((row.session, "bold accent"), f" calls {row.tool or 'something'} for {seconds(row.age_s)}")]
        known = "measured" if row.known else "a default: this tool hasn't been measured"
        overdue = row.p90_s is not None and row.age_s > row.p90_s
        expected = f"{seconds(row.expected_s)} on average, 90 % within {seconds(row.p90_s)} ({known})"
        lines.append(look.prose(("predicted: ", "dim"), expected, (", overdue" if overdue else "", "warn")))
        kept = f"{row.handling}, {count(row.tokens)} of {count(row.context_tokens)} tokens held"
        if row.until_s is not None and row.handling in ("preserve", "swap"):
            kept += f", for {seconds(max(row.until_s, 0.0))} more at most"
        lines.append(look.prose(("KV cache: ", "dim"), kept))
        if row.lost:
            lines.append(look.text(("given up: ", "dim"), (LOST.get(row.lost, row.lost), "warn")))
        if row.held_by:
            lines.append(look.prose(("could not be kept: ", "dim"), (row.held_by, "warn")))
        cost = f"{count(row.held_token_s)} token-seconds held; to compute it again takes {seconds(row.redo_s)}"
        lines.append(look.prose(("cost so far: ", "dim"), cost))
        if row.line:
            text = frame.policy.text.splitlines()
            said = text[row.line - 1].strip() if row.line <= len(text) else ""
            lines.append(look.text(("decided by line ", "dim"), f"{row.line}: ", (said, "accent")))
        now = row.now or "not asked"
        differs = row.now and not row.now.startswith(row.handling)
        lines.append(look.text(("asked now: ", "dim"), (now, "warn" if differs else "text")))
        return lines

    def about(self, row: Paused) -> str:
        return row.session

    def help(self) -> str:
        return (
            "Sessions between two turns. Waste: memory held so far, in token-seconds; now: what `on call` says today."
        )


def _predicted(row: Paused) -> str:
    return "-" if row.expected_s is None else ("" if row.known else "?") + seconds(row.expected_s)


def _late(row: Paused) -> str:
    return "warn" if row.p90_s is not None and row.age_s > row.p90_s else "text"


def _handling(row: Paused) -> str:
    return f"{row.handling} lost" if row.lost and row.handling != "discard" else row.handling


def _changed(row: Paused) -> str:
    return "dim" if not row.now or row.now.startswith(row.handling) else "warn"
