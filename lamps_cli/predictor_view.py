"""How well lengths are foretold, as a table, and what a model is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine_adapter.runtime.length_model import LengthModel
    from engine_adapter.training.scores import Scores

_WIDE = 12
# (title, field of a score, its format, which is best)
_ROWS: tuple[tuple[str, str, str, Any], ...] = (
    ("error, mean absolute, tok", "mae", "{:.1f}", min),
    ("error, root mean square, tok", "rmse", "{:.1f}", min),
    ("pairs in the right order", "ordered", "{:.1%}", max),
    ("Kendall's tau", "tau", "{:.3f}", max),
)


def table(scores: Scores) -> str:
    """The predictors beside each other; the best of each row marked."""
    names = list(scores.lengths)
    lines = [
        f"{scores.turns:,} turns of {scores.sessions:,} sessions that no training saw, {scores.mean:.1f} tokens each",
        "",
        f"{'':<30}" + "".join(f"{name:>{_WIDE}}" for name in names),
    ]
    for title, figure, form, best_of in _ROWS:
        values = [float(getattr(scores.lengths[name], figure)) for name in names]
        best = best_of((value for value in values if not math.isnan(value)), default=math.nan)
        cells = ["-" if math.isnan(value) else f"{'*' * (value == best)}{form.format(value)}" for value in values]
        lines.append(f"{title:<30}" + "".join(f"{cell:>{_WIDE}}" for cell in cells))
    lines += [_within(name, scores) for name in ("p50", "p90", "p95", "p99")]
    lines += ["", "* the best of its row. Quantiles are the share of lengths not above them: p90 is right at 90 %."]
    return "\n".join([*lines, *_calls(scores)])


def _within(quantile: str, scores: Scores) -> str:
    cells = [f"{score.within[quantile]:.1%}" if score.within else "-" for score in scores.lengths.values()]
    return f"{'lengths within ' + quantile:<30}" + "".join(f"{cell:>{_WIDE}}" for cell in cells)


def _calls(scores: Scores) -> list[str]:
    lines = []
    if scores.calls:
        told = ", ".join(f"{name} {value:.3f}" for name, value in scores.calls.items())
        lines.append(f"Whether a turn ends in a call, Brier score (0 is perfect, 0.25 a coin): {told}.")
    if scores.tools is not None:
        lines.append(f"Of the calls, the model named the right tool as the likeliest for {scores.tools:.1%}.")
    return lines


def described(model: LengthModel) -> str:
    """What a model is, in a few lines."""
    about = model.about
    reads = "the prompts' last tokens and the sessions' history" if about.tokens else "the sessions' history alone"
    known = model.named_tools
    tools = f"{', '.join(known[:8])}{f' and {len(known) - 8} more' if len(known) > 8 else ''}" if known else "none"
    return "\n".join(
        [
            f"revision {model.revision}, trained on {about.source}: {about.sessions:,} sessions, {about.turns:,} turns",
            f"reads {reads}; knows the tools: {tools}",
            f"{about.test:.0%} of the sessions were kept from it (seed {about.seed})",
        ]
    )


def document(model: LengthModel, scores: Scores | None) -> dict[str, Any]:
    """Model and scores as plain values for JSON."""
    about = model.about
    return {
        "revision": model.revision,
        "source": about.source,
        "reads_tokens": about.tokens,
        "sessions": about.sessions,
        "turns": about.turns,
        "seed": about.seed,
        "test": about.test,
        "tools": list(model.named_tools),
        "scores": None if scores is None else scores.document(),
    }
