"""The words of `lamps parity`: how much was replayed, and the first difference with both sides."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from engine_adapter.virtual.comparison import Difference, Replayed

_ENDED = {
    "closed": "to the end: the engine was shut down",
    "running": "to the end of the record: the engine ran on, or was killed",
    "cut off": "to where the record breaks off: the engine was killed, or runs on",
    "full": "to where the record was full",
    "a difference": "to the first difference",
}


def document(found: Replayed) -> dict[str, Any]:
    """All of it as plain values, but for the policy's text."""
    header = found.header
    made = asdict(found) | {
        "header": {"lamps": header.lamps, "vllm": header.vllm, "policy": header.policy.name},
        "duration_s": found.duration_s,
    }
    return {name: value for name, value in made.items() if name not in ("first_s", "last_s")}


def show(found: Replayed, colour: bool) -> str:
    """For people."""
    header = found.header
    base = "asynchronous" if header.engine["async"] else "synchronous"
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(found.by_kind.items()))
    lines = [
        f"policy {header.policy.name} (revision {header.policy.revision}), {base} scheduling, {header.vllm}",
        f"replayed {_ENDED.get(found.ended, found.ended)}",
        f"  {found.steps} steps in {found.duration_s:.1f} s, {found.requests} requests, {found.aborts} aborted, "
        f"{found.verdicts} verdicts, {found.tokens} tokens",
        f"  {found.decisions} decisions compared" + (f": {kinds}; who was scheduled, and the order" if kinds else ""),
    ]
    if found.clock_differs:
        lines.append(
            f"  in {found.clock_differs} calls the clock was read more or less often: another version of lamps"
        )
    if found.difference is None:
        lines.append(click.style("the same decisions", fg="green") if colour else "the same decisions")
    else:
        lines += _difference(found.difference, colour)
    return "\n".join(lines)


def _difference(found: Difference, colour: bool) -> list[str]:
    title = f"another decision in call {found.call} ({found.kind}), step {found.step}: {found.what}"
    return [
        click.style(title, fg="red", bold=True) if colour else title,
        *([f"  at      {found.about}"] if found.about else []),
        f"  record  {_written(found.recorded)}",
        f"  replay  {_written(found.replayed)}",
    ]


def _written(value: Any) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
