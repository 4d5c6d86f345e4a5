"""The parser's tables, made from grammar.lark once and shipped: building them takes 0.27 s, reading them 0.01 s.

`python -m policy_dsl.tables` writes grammar.tables anew; a test fails while they don't fit the grammar.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable
from pathlib import Path

import lark
from lark import Lark

FILE = Path(__file__).with_name("grammar.tables")
_KEY = 64  # hex digits


def key(grammar: str) -> bytes:
    """What tables must have been made from: this grammar, by this version of lark."""
    return hashlib.sha256(f"{lark.__version__}\n{grammar}".encode()).hexdigest().encode()


def read(grammar: str) -> Lark | None:
    """The parser of *grammar*; None where the shipped tables are of another one, or of another lark."""
    try:
        data = FILE.read_bytes()
    except OSError:
        return None
    if data[:_KEY] != key(grammar):
        return None
    return Lark.load(io.BytesIO(zlib.decompress(data[_KEY:])))


def write(grammar: str, build: Callable[[], Lark]) -> None:
    made = io.BytesIO()
    build().save(made)
    FILE.write_bytes(key(grammar) + zlib.compress(made.getvalue(), 9))


if __name__ == "__main__":
    from policy_dsl import parser

    write(parser.grammar(), parser.build)
