"""How a tool's durations are spread over orders of magnitude: a mixture of log-normals, one for each.

Many a tool answers in a second mostly and takes minutes now and then. One log-normal lies between the two and tells of
neither: a call that has run for a minute belongs to the slow kind, and will take as long as those do. So of each order
of magnitude its share and its own moments are kept, and what has been outlasted already no longer counts.

Of the calls of `agentic-coding` that last more than 20 s, 557 s on average, one log-normal expects 440 s and its 90 %
quantile holds for 83 %; the mixture expects 524 s and its quantile holds for 89 % (benchmarks/predictor.py).
Where a tool is of one kind the two say nearly the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from engine_adapter.runtime.learned import MOST_CLASSES, Classes, Key
from engine_adapter.runtime.moments import WINDOW, Moments, mixed
from policy_dsl.prediction import Dist

# (share, moments) of each order of magnitude.
Modes = tuple[tuple[float, Moments], ...]
# The logarithm's variance in an order of magnitude is at least this: what was seen once may well be 14 % longer.
_LEAST_SPREAD = 0.02
# A share below this of what was seen is forgotten.
_LEAST_SHARE = 1e-3
_LEAST_CHANCE = 1e-6
_STEP = math.log(1.1)


class ByMagnitude:
    """Durations of tools by their order of magnitude, forgetting. Every operation is O(orders): ten at most."""

    def __init__(self, least_s: float) -> None:
        """*least_s*: below it all are alike."""
        self._least_s = least_s
        self._counts: dict[str, dict[int, float]] = {}
        self.moments = Classes()  # by (tool, order)

    def learn(self, tool: str, duration_s: float) -> None:
        """A call of *tool* has taken so long."""
        duration_s = max(duration_s, self._least_s)
        order = math.floor(math.log10(duration_s))
        counts = self._counts.pop(tool, {})
        fade = 1.0 - 1.0 / WINDOW
        counts = {one: count * fade for one, count in counts.items() if count > _LEAST_SHARE}
        counts[order] = counts.get(order, 0.0) + 1.0
        self._counts[tool] = counts
        if len(self._counts) > MOST_CLASSES:
            del self._counts[next(iter(self._counts))]
        self.moments.learn([(tool, order)], duration_s, self._least_s)

    def modes(self, tool: str) -> Modes:
        """Those of *tool*; none before one of its calls has returned."""
        seen = ((count, self.moments[(tool, order)]) for order, count in self._counts.get(tool, {}).items())
        return tuple((count, moments) for count, moments in seen if moments.n)

    def counts(self) -> dict[Key, Moments]:
        """How often each order came, as rows of a store. May be asked from another thread."""
        return {
            (tool, order): Moments(min(count, WINDOW), 1.0, 0.0, 0.0)
            for tool, counts in list(self._counts.items())
            for order, count in list(counts.items())
        }

    def merge_counts(self, rows: Mapping[Key, Moments]) -> None:
        """Add what `counts` gave elsewhere."""
        for (tool, order), moments in ((key, moments) for key, moments in rows.items() if len(key) == 2):
            if isinstance(order, int) and (len(self._counts) < MOST_CLASSES or tool in self._counts):
                counts = self._counts.setdefault(str(tool), {})
                counts[order] = min(counts.get(order, 0.0) + moments.n, WINDOW)


def outlasting(whole: Dist, modes: Modes, elapsed_s: float) -> Dist:
    """The duration of a call that has run for *elapsed_s*: *whole* before it began, *modes* of its tool.

    Where none of them may last so long, and where nothing is known of the tool, *whole* says it.
    """
    if not modes or not 0.0 < elapsed_s < math.inf:
        return whole.conditioned(elapsed_s)
    return left_of(whole, modes, step_of(elapsed_s)).conditioned(elapsed_s)


def step_of(elapsed_s: float) -> int:
    """Time that has passed, in steps of a tenth of it: `left_of` is the same within one."""
    return math.floor(math.log(elapsed_s) / _STEP)


def left_of(whole: Dist, modes: Modes, step: int) -> Dist:
    """The duration of a call, given which orders of magnitude it may still be of; to be conditioned on the time itself.

    Each counts by the chance that such a call lasts longer than *step*. The mean is then that of the mixture, the
    spread that of the log-normal with its moments.
    """
    log = step * _STEP
    elapsed_s, left = math.exp(log), []
    for share, moments in modes:
        spread = max(moments.var_log, _LEAST_SPREAD)
        chance = share * 0.5 * math.erfc((log - moments.mean_log) / math.sqrt(2.0 * spread))
        if chance > _LEAST_CHANCE:
            left.append((chance, moments._replace(var_log=spread)))
    if not left:
        return whole
    found = _dist(mixed(left), whole.known)
    if not found.conditioned(elapsed_s).known:
        return whole
    mean = sum(chance * _dist(moments, True).conditioned(elapsed_s).mean for chance, moments in left)
    rest = mean / sum(chance for chance, _ in left) - elapsed_s
    scale = rest / max(found.conditioned(elapsed_s).mean - elapsed_s, _LEAST_CHANCE * elapsed_s)
    return replace(found, mean=found.mean * max(scale, 0.0))


def _dist(moments: Moments, known: bool) -> Dist:
    return Dist.from_moments(moments.mean, moments.mean_log, moments.var_log, known)
