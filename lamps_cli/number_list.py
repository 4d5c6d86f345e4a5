"""The callback of an option that takes several positive numbers: `0.5,0.9,1.1`."""

from __future__ import annotations

import click


def numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """Positive numbers with commas between them, each once, in the order given; None where nothing is given."""
    return None if value is None else _each(click.FloatRange(0, min_open=True), ctx, param, value)


def counts(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, ...] | None:
    """The same of whole numbers."""
    return None if value is None else _each(click.IntRange(1), ctx, param, value)


def _each(
    one: click.FloatRange | click.IntRange, ctx: click.Context, param: click.Parameter, value: str
) -> tuple[float, ...]:
    return tuple(dict.fromkeys(one(word.strip(), param, ctx) for word in value.split(",")))
