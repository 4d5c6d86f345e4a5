"""Servers as they are named on a command line: NAME=URL, or the URL alone."""

from __future__ import annotations

import re

_NAMED = re.compile(r"([\w.-]+)=(.+)")


def is_named(text: str) -> bool:
    """Whether it is NAME=URL; a `=` in the query of a URL comes after its colon."""
    return _NAMED.fullmatch(text) is not None


def split(text: str) -> tuple[str, str]:
    """(name, URL); a URL without a name is its own."""
    found = _NAMED.fullmatch(text)
    return (found[1], found[2]) if found else (text, text)
