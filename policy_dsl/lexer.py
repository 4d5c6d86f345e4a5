"""Text to tokens, never failing: what the language doesn't have becomes a finding and a best guess.

Lark's basic lexer does the cutting (the terminals of grammar.lark). Wrong numbers, words and
characters arrive here as `BAD_*` tokens, are explained, and are replaced so that parsing goes on: a
guess that would start a second error is written with a `?`, which the checker passes over in silence.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence

from lark import Lark, Token

from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Severity, Source, Span
from policy_dsl.names import nearest
from policy_dsl.units import SUFFIXES

POISON = "?"  # begins every guess
UNITS_HELP = "units: ns us ms s min h, tok, blk, B KiB MiB GiB, steps, %"

_ALIASES = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "m": "min", "mins": "min", "minute": "min",
    "minutes": "min", "hr": "h", "hour": "h", "hours": "h", "msec": "ms", "usec": "us", "µs": "us", "μs": "us",
    "token": "tok", "tokens": "tok", "toks": "tok", "t": "tok", "block": "blk", "blocks": "blk", "b": "B",
    "byte": "B", "bytes": "B", "kb": "KiB", "k": "KiB", "kib": "KiB", "mb": "MiB", "mib": "MiB", "gb": "GiB",
    "gib": "GiB", "percent": "%",
}  # fmt: skip
_OPERATORS = {"&&": ("AND", "and"), "||": ("OR", "or"), "!": ("NOT", "not")}
_TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MANTISSA = re.compile(r"[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")
_COMPOUND = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]+)(?=[0-9]|$)")


def span_of(source: Source, first: Token, last: Token | None = None) -> Span:
    """From the start of *first* to the end of *last*."""
    last = last or first
    return Span(source, first.line or 1, first.column or 1, last.end_line or 1, last.end_column or 1)


def lex(lark: Lark, source: Source) -> tuple[list[Token], list[Diagnostic]]:
    """All tokens of *source*. `BAD_CHARACTER` is the only kind left that no statement can use."""
    found: list[Diagnostic] = []
    tokens = list(_mend(lark, source, _join_units(source, lark.lex(source.text), found), found))
    return tokens, [*found, *_turned(source, found)]


def _error(
    source: Source, code: str, message: str, first: Token, help: str = "", last: Token | None = None
) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, message, span_of(source, first, last), help=help)


def _mend(lark: Lark, source: Source, tokens: Iterator[Token], found: list[Diagnostic]) -> Iterator[Token]:
    """Replaces each `BAD_*` token by a guess and says what is wrong with it."""
    pending: list[Token] = []  # neighbouring characters are one finding
    for token in tokens:
        if pending and (token.type != "BAD_CHARACTER" or token.start_pos != pending[-1].end_pos):
            yield _characters(source, pending, token, found)
            pending = []
        match token.type:
            case "BAD_CHARACTER":
                pending.append(token)
            case "BAD_NUMBER":
                found.append(_bad_number(source, token))
                yield token.update("QUANTITY", POISON)
            case "BAD_WORD":
                yield _word(lark, source, token, found)
            case "BAD_STRING":
                yield _string(source, token, found)
            case "NUMBER" | "QUANTITY" if math.isinf(literal(token)[0]):
                found.append(_error(source, codes.NUMBER, "this number is too large", token))
                yield token.update("QUANTITY", POISON)
            case _:
                yield token
    if pending:
        yield _characters(source, pending, pending[-1], found)


def literal(token: Token) -> tuple[float, str]:
    """Mantissa and suffix of a good number."""
    mantissa = _MANTISSA.match(token)
    assert mantissa, token
    return float(mantissa[0]), token[mantissa.end() :]


def _characters(source: Source, run: list[Token], after: Token, found: list[Diagnostic]) -> Token:
    text = "".join(run)
    help = ""
    token = run[0]
    if text in _OPERATORS:
        kind, word = _OPERATORS[text]
        help = f"write `{word}`"
        token = Token.new_borrow_pos(kind, text, token)
    elif text == "." and after.type in ("NUMBER", "QUANTITY"):
        help = f"write `0.{after}`"
    elif text.startswith(";"):
        help = "nothing separates statements"
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:20])
    help = help or _names(text)
    found.append(_error(source, codes.CHARACTER, f"the language has no `{shown}`", run[0], help, run[-1]))
    return token


def _names(text: str) -> str:
    """What the characters are called that look like others, or like nothing."""
    called = {c: unicodedata.name(c, "without a name") for c in text[:20] if not c.isascii()}
    shown = {c: f"`{c}` is" if c.isprintable() and not c.isspace() else "this is" for c in called}
    return "; ".join(f"{shown[c]} {name}" for c, name in called.items() if not name.startswith("LATIN"))


def _turned(source: Source, found: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """Characters in comments and texts that change the order in which a line is shown: it could read as another.

    Elsewhere they are among *found*.
    """
    known = {(d.span.line, column) for d in found for column in range(d.span.column, d.span.end_column)}
    for number, line in enumerate(source.text.split("\n") if _TURNING.search(source.text) else (), 1):
        for match in _TURNING.finditer(line):
            column = match.start() + 1
            if (number, column) not in known:
                span = Span(source, number, column, number, column + 1)
                message = "this invisible character changes the order in which the line is shown"
                yield Diagnostic(codes.CHARACTER, Severity.ERROR, message, span, help=f"remove it: {_names(match[0])}")


def _string(source: Source, token: Token, found: list[Diagnostic]) -> Token:
    """A text in single quotes is one all the same; without its closing quote it may have eaten anything."""
    if token[0] == "'" and token.endswith("'") and len(token) > 1:
        help = f'write "{token[1:-1]}"'
        found.append(_error(source, codes.STRING, "texts stand in double quotes", token, help))
        return token.update("STRING", '"' + token[1:-1] + '"')
    found.append(_error(source, codes.STRING, "this text has no closing quote on its line", token))
    return token.update("STRING", POISON + str(token))


def _word(lark: Lark, source: Source, token: Token, found: list[Diagnostic]) -> Token:
    """An upper-case or non-ASCII word, or one with a dot too many."""
    text = str(token)
    lower = text.lower()
    if text.endswith(".") or ".." in text:
        found.append(_error(source, codes.CHARACTER, f"`{text}` has a dot without a name after it", token))
    elif lower != text and lower.isascii():
        found.append(_error(source, codes.CHARACTER, "names and words are lower case", token, f"write `{lower}`"))
        again = next(lark.lex(lower))
        if len(again) == len(lower) and not again.type.startswith("BAD"):
            return token.update(again.type, lower)
    else:
        found.append(_error(source, codes.CHARACTER, "names consist of a-z, 0-9 and `_`", token, _names(text)))
    return token.update("PATH" if "." in text else "NAME", POISON + text)


def _bad_number(source: Source, token: Token) -> Diagnostic:
    text = str(token)
    parts = [(float(n), _ALIASES.get(u, u)) for n, u in _COMPOUND.findall(text)]
    if len(parts) > 1 and _COMPOUND.sub("", text) == "" and all(u in SUFFIXES for _, u in parts):
        unit = parts[-1][1]
        total = sum(n * SUFFIXES[u][1] for n, u in parts) / SUFFIXES[unit][1]
        return _error(source, codes.NUMBER, "a quantity has one unit", token, f"write `{total:.12g}{unit}`")
    mantissa = _MANTISSA.match(text)
    suffix = text[mantissa.end() :] if mantissa else ""
    if suffix == ".":
        help = f"write `{text[:-1]}` or `{text}0`"
        return _error(source, codes.NUMBER, "a number does not end in a dot", token, help)
    if not mantissa or not re.fullmatch(r"[^\W0-9_]+%?", suffix):
        return _error(source, codes.NUMBER, f"`{text}` is not a number", token, UNITS_HELP)
    near = [_ALIASES[suffix.lower()]] if suffix.lower() in _ALIASES else nearest(suffix, SUFFIXES, 1)
    help = f"did you mean `{mantissa[0]}{near[0]}`? {UNITS_HELP}" if near else UNITS_HELP
    return _error(source, codes.NUMBER, f"unknown unit `{suffix}`", token, help)


def _join_units(source: Source, tokens: Iterator[Token], found: list[Diagnostic]) -> Iterator[Token]:
    """`5 s` is one quantity written with a space (unless the word is a field: `chance: 1 s: 2`)."""
    window: list[Token] = []
    for token in tokens:
        window.append(token)
        if len(window) == 3:
            window = list(_joined(source, window, found))
            if len(window) == 3:
                yield window.pop(0)
    yield from _joined(source, window, found)


def _joined(source: Source, window: list[Token], found: list[Diagnostic]) -> list[Token]:
    match window:
        case [number, unit, *rest] if (
            number.type == "NUMBER"
            and unit in SUFFIXES
            and unit.line == number.line
            and not (rest and rest[0].type == "COLON")
        ):
            whole = number + unit
            message, help = "a quantity is written without a space", f"write `{whole}`"
            found.append(_error(source, codes.NUMBER, message, number, help, unit))
            joined = Token("QUANTITY", whole, number.start_pos, number.line, number.column)
            joined.end_line, joined.end_column, joined.end_pos = unit.end_line, unit.end_column, unit.end_pos
            return [joined, *rest]
    return window
