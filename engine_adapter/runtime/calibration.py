"""How well predictions fare: of each tool's duration, and of the length of answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine_adapter.runtime.moments import WINDOW
from policy_dsl.prediction import Dist

OUTPUT = "output"
# Tools that are told apart; those beyond the most are counted together.
MOST_TOOLS = 64
OTHER = "(other tools)"


@dataclass(slots=True)
class _Record:
    """Sums over cases, older ones fading. *count*: all there were."""

    unit: str
    count: int = 0
    weight: float = 0.0
    predicted: float = 0.0
    actual: float = 0.0
    below: tuple[float, float, float] = (0.0, 0.0, 0.0)
    known: float = 0.0


class Calibrations:
    """Fading as what the predictor learns does, so that the figures are of the predictions of lately."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def add(self, what: str, unit: str, predicted: Dist, actual: float) -> None:
        """Something that was *predicted* has come true as *actual*. *what*: `OUTPUT` or a tool."""
        if what not in self._records and len(self._records) >= MOST_TOOLS:
            what = OTHER
        record = self._records.setdefault(what, _Record(unit))
        fade = 1.0 - 1.0 / WINDOW
        record.count += 1
        record.weight = record.weight * fade + 1.0
        record.predicted = record.predicted * fade + predicted.mean
        record.actual = record.actual * fade + actual
        record.known = record.known * fade + predicted.known
        p50, p90, p99 = (
            held * fade + (actual <= predicted.stat(name))
            for held, name in zip(record.below, ("p50", "p90", "p99"), strict=True)
        )
        record.below = (p50, p90, p99)

    def rows(self) -> list[dict[str, Any]]:
        """In the words of `control.frames.Calibration`: answers first, then tools, the most called first."""
        ordered = sorted(self._records.items(), key=lambda item: (item[0] != OUTPUT, -item[1].count, item[0]))
        return [
            {
                "what": what,
                "unit": record.unit,
                "count": record.count,
                "predicted": record.predicted / record.weight,
                "actual": record.actual / record.weight,
                "within_p50": record.below[0] / record.weight,
                "within_p90": record.below[1] / record.weight,
                "within_p99": record.below[2] / record.weight,
                "known": record.known / record.weight,
            }
            for what, record in ordered
        ]
