"""Overview: where the memory goes, how many requests are in which state, how fast they are served, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult

from tui.advice import advise
from tui.glyphs import count, seconds
from tui.jump import Target
from tui.model import PLAIN, Peaks, paused_of, running_of
from tui.panel import Panel, wrapped
from tui.views.base import View

USES = ("running", "paused", "host", "cached", "free")
_LABEL, _FIGURES = 12, 19


class MemoryPanel(Panel):
    """KV memory by use: now, as one bar, and over the last minutes."""

    def lines(self, width: int, height: int) -> list[Text]:
        frame, look = self.moment.frame, self.look
        if frame is None:
            return []
        memory = frame.memory
        total = max(memory.total, 1)
        tokens = (memory.running, memory.pinned, 0, memory.cached, memory.free)
        legend = Text(no_wrap=True, end="")
        for use, name in enumerate(USES):
            amount = memory.host if name == "host" else tokens[use]
            if name == "host" and not amount:
                continue
            legend.append(f"{look.glyphs.memory[use] * 2} ", look.memory_style(use))
            share = "" if name == "host" else f" {amount / total:.0%}"
            legend.append_text(look.text(f"{name} ", (count(amount), "bold text"), (f"{share}  ", "dim")))
        bar = look.bar([amount / total for amount in tokens], width)
        lines = [bar, legend]
        rows = height - len(lines)
        points = self.moment.points
        if rows >= 2 and len(points) > 1:
            layers = [[point.memory[n] for point in points] for n in range(4)]
            lines += look.area(layers, (0, 1, 3, 4), width, rows)
        return lines


class FlowPanel(Panel):
    """Requests by state, tokens a second, latencies: each as a curve with its present figures."""

    def lines(self, width: int, height: int) -> list[Text]:
        frame = self.moment.frame
        if frame is None:
            return []
        points, peaks = self.moment.points, self.moment.peaks or Peaks()
        latest = points[-1] if points else None
        first, turn = frame.latency.first_token, frame.latency.turn
        counted = (
            ("running", running_of(frame), peaks.running, [p.running for p in points], "good"),
            ("waiting", frame.waiting_total, peaks.waiting, [p.waiting for p in points], "warn"),
            ("paused", paused_of(frame), peaks.paused, [p.paused for p in points], "accent"),
        )
        tall = max((height + 1) // 7, 1)
        lines = [
            self._curve(name, (count(now), f"peak {count(peak)}"), values, width, tall, colour)
            for name, now, peak, values, colour in counted
        ]
        generated = (count(latest.generated_per_s) if latest else "-", "tok/s")
        prompt = (count(latest.prompt_per_s) if latest else "-", "tok/s")
        lines.append(self._curve("generated", generated, [p.generated_per_s for p in points], width, tall, "good"))
        lines.append(self._curve("prompt", prompt, [p.prompt_per_s for p in points], width, tall, "dim"))
        for name, quantiles, values in (
            ("first token", first, [p.first_token_p50 for p in points]),
            ("whole turn", turn, [p.turn_p50 for p in points]),
        ):
            figures = (seconds(quantiles.p50), f"p99 {seconds(quantiles.p99)}") if quantiles.count else ("-", "")
            lines.append(self._curve(name, figures, values, width, tall, "accent"))
        return [row for curve in lines for row in curve]

    def _curve(
        self, name: str, figures: tuple[str, str], values: Sequence[float], width: int, height: int, colour: str
    ) -> list[Text]:
        """*height* rows, the name and the figures in the first."""
        look, rest = self.look, width - _LABEL - _FIGURES
        rows = look.curve(values, max(rest, 0), height, colour)
        now = (figures[0].rjust(7), "bold text")
        head = look.text((name.ljust(_LABEL), "dim"), now, (f" {figures[1]:<11}", "dim"))
        blank = " " * (_LABEL + _FIGURES)
        return [(Text(blank, no_wrap=True, end="") if n else head).append_text(row) for n, row in enumerate(rows)]


class PolicyPanel(Panel):
    """Which policy schedules, whether it works, and what it decided about calls so far."""

    def lines(self, width: int, height: int) -> list[Text]:
        frame, look = self.moment.frame, self.look
        if frame is None:
            return []
        policy, guard = frame.policy, frame.guard
        if policy.name == PLAIN:
            said = look.prose((policy.name, "bold accent"), f"  {policy.title}")
            return wrapped(said, width)
        state = {"ok": ("ok", "good"), "fallback": ("falling back", "warn")}.get(guard.state, (guard.state, "bad"))
        head = look.prose(
            (policy.name, "bold accent"), (f"  {policy.revision}  " if policy.revision else "  ", "dim"),
            (f"{look.glyphs.on} {state[0]}", f"bold {state[1]}"), f"  {guard.reason}",
        )  # fmt: skip
        if policy.params:
            head.append_text(look.text(("  " + "  ".join(f"{n} {v:g}" for n, v in policy.params.items()), "dim")))
        decided = {word: frame.counters.get(f"decisions.{word}", 0) for word in ("preserve", "swap", "discard")}
        calls = look.prose(("calls       ", "dim"))
        for word, number in decided.items():
            if number or word != "swap":
                calls.append_text(look.text(f"{word} ", (count(number), "bold text"), "   "))
        reused = frame.counters.get("pins.tokens_reused", 0)
        calls.append_text(look.text(("reused ", "dim"), count(reused), (" tokens", "dim")))
        if preempted := frame.counters.get("preemptions", 0):
            calls.append_text(look.text(("   preempted ", "dim"), (count(preempted), "warn")))
        rank = next((use for use in frame.rules if use.rule == "rank" and use.count), None)
        flow, hit = frame.flow, 0.0
        if flow.prompt_tokens:
            hit = flow.cached_tokens / flow.prompt_tokens
        served = look.prose(
            ("served      ", "dim"), (count(flow.turns), "bold text"), (" turns   prefix cache ", "dim"), f"{hit:.0%}",
        )  # fmt: skip
        if rank is not None:
            served.append_text(look.text(("   ranking ", "dim"), f"{rank.seconds / rank.count * 1e6:.0f} us"))
        return [part for line in (head, calls, served) for part in wrapped(line, width)]


class AdvicePanel(Panel):
    """What stands out, with a code to look up."""

    def lines(self, width: int, height: int) -> list[Text]:
        look = self.look
        found = advise(self.moment)
        if not found:
            return [look.text((f"{look.glyphs.on} nothing stands out", "dim"))]
        room = height if len(found) <= height else height - 1
        lines = []
        for advice in found[:room]:
            line = look.text((f"{advice.code} ", f"bold {advice.level}"), (advice.headline, "text"))
            lines.append(line)
            if line.cell_len + len(advice.what_to_do) + 2 > width and 2 * len(found) <= height:
                lines.append(look.text((f"      {advice.what_to_do}", "dim")))  # under its headline
            else:
                line.append_text(look.text((f"  {advice.what_to_do}", "dim")))
        if len(found) > room:
            lines.append(look.text((f"and {len(found) - room} more", "dim")))
        return lines


class Overview(View):
    title: ClassVar[str] = "Overview"

    def compose(self) -> ComposeResult:
        yield MemoryPanel("KV memory")
        yield PolicyPanel("Policy")
        yield AdvicePanel("Advice")
        yield FlowPanel("Requests and latency")

    def targets(self) -> list[Target]:
        """The panels, each to the screen that tells more."""
        more = ((MemoryPanel, "calls"), (PolicyPanel, "policy"), (AdvicePanel, "decisions"), (FlowPanel, "queue"))
        return [
            Target(self.query_one(panel).region.offset, partial(self.run_action, f"app.view('{name}')"))
            for panel, name in more
        ]

    def help(self) -> str:
        return "Memory by use, requests by state, rates and latencies of the last minutes, and what stands out."
