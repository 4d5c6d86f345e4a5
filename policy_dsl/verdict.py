"""The answer of `on call`: what happens to the KV cache of a session, for how long, and what else it would cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from policy_dsl.types import Handling

Held = tuple[Handling, float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """*holds*: handlings in turn, each with its end in seconds from the start of the call (None: until it returns).

    Only handlings that can be carried out; discard where none can. *costs*: every arm of the `least` that was
    asked, as (what it says, its cost, whether it could be chosen). *line*: of the policy, where the answer stands.
    """

    holds: tuple[Held, ...]
    costs: tuple[tuple[str, float, bool], ...]
    line: int


def holds(links: Sequence[tuple[Handling, float | None, bool]]) -> tuple[Held, ...]:
    """What is left of an action, link by link (handling, lasts, allowed). A last that is NaN or negative is 0."""
    kept: list[Held] = []
    for handling, lasts, allowed in links:
        if not allowed:
            continue
        if lasts is None or lasts == math.inf:
            kept.append((handling, None))
            break
        kept.append((handling, lasts if lasts > 0.0 else 0.0))
    return tuple(kept) or ((Handling.DISCARD, None),)


def cheapest(arms: Sequence[tuple[float, bool]]) -> int | None:
    """Index of the arm (cost, whether it may be chosen) with the least cost; NaN is not considered."""
    best: int | None = None
    for i, (cost, allowed) in enumerate(arms):
        if allowed and not math.isnan(cost) and (best is None or cost < arms[best][0]):
            best = i
    return best
