"""Policy: its text, with how often each line answered and how long each rule takes, its params, and its shadow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import work
from textual.binding import BindingType

from engine_adapter.control.frames import Frame, RuleUse
from tui import keys
from tui.glyphs import count
from tui.model import PLAIN, Moment
from tui.rows import Column
from tui.views.base import TableView

if TYPE_CHECKING:
    from tui.app import Top


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the policy. *use*: of the rule or answer that begins there; None where none does."""

    number: int
    text: str
    use: RuleUse | None


class PolicyView(TableView):
    BINDINGS: ClassVar[list[BindingType]] = keys.POLICY_BINDINGS
    title: ClassVar[str] = "Policy"
    nothing: ClassVar[str] = "the server doesn't tell its policy's text"
    subject: ClassVar[str] = "Rules, params, shadow"

    def columns(self, moment: Moment) -> Sequence[Column[Line]]:
        return [
            Column("count", 7, lambda r: count(r.use.count) if r.use else "", right=True, colour=lambda r: "good"),
            Column("us each", 7, _each, right=True, colour=lambda r: "dim", spare=1),
            Column("", 3, lambda r: str(r.number), right=True, colour=lambda r: "dim"),
            Column(moment.frame.policy.name if moment.frame else "", 0, lambda r: r.text, colour=_colour),
        ]

    def rows(self, moment: Moment) -> Sequence[Line]:
        return lines_of(moment.frame) if moment.frame is not None else ()

    def key(self, row: Line) -> object:
        return row.number

    def words(self, row: Line) -> str:
        return row.text

    def summary(self, moment: Moment) -> str:
        frame = moment.frame
        if frame is None or frame.policy.name == PLAIN:
            return ""
        return f"revision {frame.policy.revision}, {frame.guard.state}"

    def detail(self, row: Line, width: int) -> list[Text]:
        frame, look = self.moment.frame, self.app.look  # type: ignore[attr-defined]
        assert frame is not None
        lines = []
        for name, info in frame.policy.ranges.items():
            where = (info.value - info.low) / (info.high - info.low) if info.high > info.low else 0.0
            line = look.text((f"{name:<16}", "accent"), (f"{info.value:>10g}", "bold text"), f" {info.unit:<8}")
            span = f" {info.low:g}..{info.high:g}"
            line.append_text(look.share(where, min(max(width - line.cell_len - len(span), 0), 16), "accent"))
            lines.append(line.append_text(look.text((span, "dim"))))
        for use in frame.rules:
            if not use.line:
                each = f"{use.seconds / use.count * 1e6:,.0f} us each" if use.count else ""
                faults = (f"  failed {use.faults:,} times", "bad") if use.faults else ""
                lines.append(look.text((f"{use.rule:<16}", "dim"), f"{count(use.count):>10} times  {each}", faults))
        if frame.guard.reason:
            lines.append(look.prose((frame.guard.reason, "warn")))
        if frame.shadow is not None:
            shadow = frame.shadow
            share = shadow.differing / shadow.compared if shadow.compared else 0.0
            differs = f" {shadow.revision} differs in {share:.1%} of {shadow.compared:,} decisions"
            rules = (("rank", shadow.rank), ("on call", shadow.on_call))
            parts = [f"{rule} {of.differing:,} of {of.compared:,}" for rule, of in rules if of.compared]
            failed = (f"; its rules failed {shadow.failures:,} times" if shadow.failures else "", "bad")
            told = f": {', '.join(parts)}" if parts else ""
            lines.append(look.prose(("shadow ", "dim"), (shadow.name, "accent"), differs + told, failed))
        if not frame.capabilities:
            lines.append(look.prose(("it takes no commands: what is here is only watched", "dim")))
        return lines

    @work
    async def action_change(self, what: str) -> None:
        """Change something in the server: a flow of `tui.changing`."""
        from tui import changing

        await changing.FLOWS[what](cast("Top", self.app))

    def help(self) -> str:
        return "The policy as it runs: how often each line of `on call` answered, and the time of each rule."


def lines_of(frame: Frame) -> list[Line]:
    """The policy's lines, each with the use of what begins there."""
    uses = {use.line: use for use in frame.rules if use.line}
    text = frame.policy.text.splitlines()
    for number, line in enumerate(text, 1):
        rule = next((use for use in frame.rules if not use.line and _states(line, use.rule)), None)
        if rule is not None and number not in uses:
            uses[number] = rule
    return [Line(number, line, uses.get(number)) for number, line in enumerate(text, 1)]


def _states(line: str, rule: str) -> bool:
    return line.startswith(f"{rule} ")


def _each(row: Line) -> str:
    if row.use is None or not row.use.count or not row.use.seconds:
        return ""
    return f"{row.use.seconds / row.use.count * 1e6:,.0f}"


def _colour(row: Line) -> str:
    text = row.text.lstrip()
    if text.startswith("#"):
        return "dim"
    return "accent" if text.split(" ", 1)[0] in _STATEMENTS else "text"


_STATEMENTS = frozenset(
    [
        "lamps",
        "policy",
        "param",
        "rank",
        "on",
        "while",
        "yield",
        "victim",
        "admit",
        "promote",
        "class",
        "limit",
        "budget",
        "extends",
        "include",
    ]
)
