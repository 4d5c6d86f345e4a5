"""Predictors: how the lengths of answers and the durations of tools came true, against what was predicted of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text

from engine_adapter.control.frames import Calibration, PredictorInfo
from tui.glyphs import count, seconds
from tui.model import Moment
from tui.rows import Column, amount
from tui.views.base import TableView

# A quantile that holds for a share of cases this far from its own is off.
_OFF = 0.15
FEW = 20


class Predictors(TableView):
    title: ClassVar[str] = "Predictors"
    nothing: ClassVar[str] = "nothing predicted has come true yet"
    subject: ClassVar[str] = "How far its quantiles hold"

    def columns(self, moment: Moment) -> Sequence[Column[Calibration]]:
        return [
            Column("of", 0, lambda r: r.what, sort=lambda r: r.what),
            amount("cases", 7, lambda r: r.count, count),
            Column(
                "predicted", 9, lambda r: _amount(r, r.predicted), right=True, sort=lambda r: r.predicted, largest=True
            ),
            Column("actual", 9, lambda r: _amount(r, r.actual), right=True, sort=lambda r: r.actual, largest=True),
            Column(
                "in p50", 7, lambda r: f"{r.within_p50:.0%}", right=True, colour=lambda r: _colour(r, r.within_p50, 0.5)
            ),
            Column(
                "in p90", 7, lambda r: f"{r.within_p90:.0%}", right=True, colour=lambda r: _colour(r, r.within_p90, 0.9)
            ),
            Column(
                "in p99",
                7,
                lambda r: f"{r.within_p99:.0%}",
                right=True,
                colour=lambda r: _colour(r, r.within_p99, 0.99),
            ),
            Column("measured", 8, lambda r: f"{r.known:.0%}", right=True, sort=lambda r: r.known, spare=1),
            Column(
                "", 12, _verdict, colour=lambda r: "dim" if _verdict(r) in ("good", "few cases") else "warn", spare=2
            ),
        ]

    def rows(self, moment: Moment) -> Sequence[Calibration]:
        return moment.frame.predictors if moment.frame is not None else ()

    def key(self, row: Calibration) -> object:
        return row.what

    def words(self, row: Calibration) -> str:
        return f"{row.what} {_verdict(row)}"

    def summary(self, moment: Moment) -> str:
        off = [row.what for row in self.rows(moment) if _verdict(row) not in ("good", "few cases")]
        said = [_model(moment.frame.predictor)] if moment.frame is not None else []
        return ", ".join(part for part in [*said, f"{len(off)} off" if off else ""] if part)

    def detail(self, row: Calibration, width: int) -> list[Text]:
        look = self.app.look  # type: ignore[attr-defined]
        kind = "tokens of an answer" if row.what == "output" else f"duration of {row.what}"
        lines = [look.text((kind, "bold accent"), f", {row.count:,} cases, recent ones count most")]
        room = max(width - 40, 10)
        for name, held, share in (
            ("p50", row.within_p50, 0.5),
            ("p90", row.within_p90, 0.9),
            ("p99", row.within_p99, 0.99),
        ):
            line = look.text((f"{name} held for ", "dim"), (f"{held:>4.0%}", f"bold {_colour(row, held, share)}"), " ")
            lines.append(
                line.append_text(look.share(held, room, _colour(row, held, share))).append(f"  wanted {share:.0%}")
            )
        ratio = row.actual / row.predicted if row.predicted else 1.0
        lines.append(
            look.prose(
                ("means: ", "dim"),
                f"predicted {_amount(row, row.predicted)}, came {_amount(row, row.actual)} ({ratio:.2f} of it)",
            )
        )
        lines.append(
            look.prose(
                ("measured: ", "dim"),
                f"{row.known:.0%} of the predictions rested on measurements, the rest on defaults",
            )
        )
        return lines

    def help(self) -> str:
        return "A quantile is good where it holds for its share of cases: p90 for nine in ten."


def _model(predictor: PredictorInfo) -> str:
    """By what lengths of answers are predicted, where it isn't this server's statistics alone."""
    if predictor.reason:
        return f"no trained model: {predictor.reason}"
    if predictor.name == "online":
        return ""
    error = f", {predictor.error:.2f} of the error of the statistics" if predictor.error is not None else ""
    return f"{predictor.name} {predictor.revision}{error}{'' if predictor.believed else ', set aside for now'}"


def _amount(row: Calibration, amount: float) -> str:
    return seconds(amount) if row.unit == "s" else count(amount)


def _colour(row: Calibration, held: float, share: float) -> str:
    if row.count < FEW:
        return "dim"
    return "good" if abs(held - share) <= _OFF else "warn"


def _verdict(row: Calibration) -> str:
    if row.count < FEW:
        return "few cases"
    if row.within_p90 < 0.9 - _OFF or row.within_p50 < 0.5 - _OFF:
        return "too short"
    return "too long" if row.within_p50 > 0.5 + _OFF else "good"
