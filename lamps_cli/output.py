"""Where a command's words go: data to stdout, talk to stderr, colour where it is wanted.

A pipe gets the data alone; what is for the person at the terminal (progress, notes, warnings) never mixes with it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Literal, TextIO

import click

Colour = Literal["auto", "always", "never"]

LINE_EVERY_S = 30.0
"""How often a log is told how far long work is."""


def write(text: str) -> None:
    """Data, to stdout, with a newline."""
    click.echo(text)


def write_json(value: object) -> None:
    """Data as one indented JSON document."""
    click.echo(to_json(value, indent=2))


def to_json(value: object, indent: int | None = None) -> str:
    """*value* as JSON, keys in the order given. NaN and infinities, which JSON lacks, become null."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, ensure_ascii=False)


def talk(text: str) -> None:
    """Words for the person, to stderr, with a newline."""
    click.echo(text, err=True)


def warn(text: str) -> None:
    """Something the person should know and that doesn't stop the command, to stderr."""
    click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {text}", err=True)


def progress(text: str) -> None:
    """How far something is, in one line of a terminal that the next one takes the place of; "" takes it away.

    Where stderr is no terminal (a log, a CI job) a line of it once in a while, so that long work isn't silent.
    """
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}", err=True, nl=False)
    elif text and _line.due():
        click.echo(text, err=True)


class _Line:
    """When the next line of progress is due in a log. Work that takes less than that writes none."""

    def __init__(self) -> None:
        self._next_s: float | None = None

    def due(self) -> bool:
        now = time.monotonic()
        due = self._next_s is not None and now >= self._next_s
        if due or self._next_s is None:
            self._next_s = now + LINE_EVERY_S
        return due


_line = _Line()


def wants_colour(stream: TextIO | None = None) -> bool:
    """Whether to colour *stream* (stdout when not given): the --color in force, else whether it's a terminal."""
    context = click.get_current_context(silent=True)
    if context is not None and context.color is not None:
        return context.color
    target = stream or sys.stdout
    return target.isatty()


def choose_colour(colour: Colour) -> bool | None:
    """What click takes for *colour*: True, False, or None to ask each stream. An option wins over the environment."""
    if colour != "auto":
        return colour == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return None


def _plain(value: Any) -> Any:
    """*value* with every float that JSON lacks as None."""
    match value:
        case float():
            return value if value - value == 0 else None
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
