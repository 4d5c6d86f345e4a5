"""Decisions: what was decided lately, newest first, with what it was decided from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text

from engine_adapter.control.frames import Decision
from engine_adapter.control.naming import short
from tui.glyphs import seconds, value
from tui.model import Moment
from tui.rows import Column
from tui.views.base import TableView

_COLOURS = {"call": "accent", "admit": "good", "preempt": "bad", "pin": "warn", "promote": "warn"}


class Decisions(TableView):
    title: ClassVar[str] = "Decisions"
    newest_first: ClassVar[bool] = True
    nothing: ClassVar[str] = "nothing has been decided yet"
    subject: ClassVar[str] = "From what it was decided"

    def columns(self, moment: Moment) -> Sequence[Column[Decision]]:
        now = moment.frame.at if moment.frame is not None else 0.0
        return [
            Column("ago", 7, lambda r: seconds(max(now - r.at, 0.0)), right=True),
            Column("kind", 8, lambda r: r.kind, sort=lambda r: r.kind, colour=lambda r: _COLOURS.get(r.kind, "text")),
            Column("what", 22, lambda r: r.what, sort=lambda r: r.what),
            Column("session", 16, lambda r: r.session, sort=lambda r: r.session, spare=2, name=True),
            Column("line", 4, lambda r: str(r.line) if r.line else "", right=True, sort=lambda r: r.line, spare=1),
            Column("about", 0, lambda r: r.note),
        ]

    def rows(self, moment: Moment) -> Sequence[Decision]:
        return moment.decisions[::-1]

    def key(self, row: Decision) -> object:
        return row.number

    def words(self, row: Decision) -> str:
        return f"{row.kind} {row.what} {row.session} {row.request} {row.note}"

    def summary(self, moment: Moment) -> str:
        return f"the last {len(moment.decisions):,}" if moment.decisions else ""

    def about(self, row: Decision) -> str | Decision:
        return row if row.kind == "call" else row.session or row.request

    def detail(self, row: Decision, width: int) -> list[Text]:
        frame, look = self.moment.frame, self.app.look  # type: ignore[attr-defined]
        assert frame is not None
        lines = [look.text((row.what, "bold accent"), f"  session {row.session}  {short(row.request)}")]
        lines.append(look.text((f"{row.note}", "dim")))
        text = frame.policy.text.splitlines()
        if 0 < row.line <= len(text):
            lines.append(look.text(("line ", "dim"), f"{row.line}: ", (text[row.line - 1].strip(), "accent")))
        for arm in row.arms:
            mark = look.glyphs.ahead if arm.chosen else "  "
            why = "" if arm.allowed else "  (not possible)"
            weight = "bold text" if arm.chosen else "dim"
            lines.append(look.text(f"{mark:<3}{arm.text:<24}", (f"{value(arm.cost):>12}", weight), (why, "warn")))
        for name, given in sorted(row.values.items()):
            lines.append(look.text((f"{name:<28}", "dim"), f"{value(given):>12}"))
        return lines

    def help(self) -> str:
        return (
            "Admissions, preemptions, calls, lost pins as they happen; a call shows its alternatives and what it read."
        )
