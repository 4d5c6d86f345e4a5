"""Where statements begin, and what was expected instead: all syntax errors of a file at once, in words.

A file is cut at the words that begin statements, each statement is parsed by itself, and an error
costs that statement only. In a valid file the cuts are exact, those words stand nowhere else; so a
brace left open costs one statement too.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from lark import Token

from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Label, Severity, Source, Span
from policy_dsl.lexer import span_of
from policy_dsl.names import did_you_mean
from policy_dsl.types import Handling

STATEMENTS = (
    "policy", "extends", "include", "override", "param", "hint", "let", "drop", "rank", "on", "while", "yield",
    "victim", "admit", "promote", "class", "limit", "budget", "test",
)  # fmt: skip
_TAKES_A_STATEMENT_WORD = ("override", "drop", "expect")
_TAKES_A_NAME = ("policy", "extends", "param", "hint", "let", "class", "limit")
_SUBJECTS = ("request", "session")  # words of a test that take a name, no statements

_WORDS = {
    "NAME": "a name", "STRING": "a text in quotes", "QUANTITY": "a quantity such as `5s`", "NUMBER": "a number",
    "PATH": "a signal", "HANDLING": "`preserve`, `discard` or `swap`", "DIRECTION": "`highest` or `lowest`",
    "LE": "`<=`", "ANY": "`_`", "EQUAL": "`=`", "DOTS": "`..`", "COLON": "`:`", "COMMA": "`,`", "LPAR": "`(`",
    "RPAR": "`)`", "LBRACE": "`{`", "RBRACE": "`}`", "LSQB": "`[`", "RSQB": "`]`", "__ANON_0": "`handling`",
    "$END": "the end of the statement",
}  # fmt: skip
_OPERATORS = {"PLUS", "MINUS", "STAR", "SLASH", "CIRCUMFLEX", "CMP", "LE", "AND", "OR", "IN"}
_ASCENDING = ("asc", "ascending", "desc", "descending", "highest", "lowest")


def split(tokens: list[Token]) -> Iterator[list[Token]]:
    """The statements of a file; the first piece is what stands before the first of them."""
    start = 0
    for i in range(len(tokens)):
        if _begins(tokens, i):
            yield tokens[start:i]
            start = i
    yield tokens[start:]


def _begins(tokens: list[Token], i: int) -> bool:
    """Whether a statement begins at token *i*. `expect rank ...`, `drop limit ...`, `expect NAME on call ...` don't.

    Nor does a word that stands where a name should: the statement before it says so.
    """
    token = tokens[i]
    if token.type != token.upper() or token not in STATEMENTS:  # a word of its own, not a name or a text
        return False
    if i == 0:
        return True
    before = tokens[i - 1]
    if before.line == token.line and before in _TAKES_A_NAME and before.type == before.upper():
        return False
    if before in _SUBJECTS and tokens[i + 1 : i + 2] == ["{"]:
        return False
    expected_call = token == "on" and i > 1 and tokens[i - 2] == "expect"
    return before not in _TAKES_A_STATEMENT_WORD and not expected_call


def _closing(tokens: list[Token]) -> dict[int, int]:
    """For each `{` that is closed, the index of its `}`."""
    found, still_open = {}, []
    for i, token in enumerate(tokens):
        if token.type == "LBRACE":
            still_open.append(i)
        elif token.type == "RBRACE" and still_open:
            found[still_open.pop()] = i
    return found


def unclosed(piece: list[Token]) -> Token | None:
    """The innermost `{` that this statement never closes."""
    closing = _closing(piece)
    return next((t for i, t in reversed(list(enumerate(piece))) if t.type == "LBRACE" and i not in closing), None)


def _error(code: str, message: str, span: Span, help: str = "", labels: tuple[Label, ...] = ()) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, message, span, labels=labels, help=help)


def not_a_statement(source: Source, piece: list[Token]) -> Diagnostic:
    """What stands where a statement should begin."""
    help = did_you_mean(piece[0], STATEMENTS) or "statements begin with " + " ".join(STATEMENTS[:-1]) + " or test"
    return _error(codes.SYNTAX, "expected a statement", span_of(source, piece[0]), help)


def explain(source: Source, piece: list[Token], at: int, accepts: Set[str]) -> Diagnostic:
    """What is wrong with token *at* of a statement (one past the last: it ends too early)."""
    if at == len(piece):
        return _ends_early(source, piece, accepts)
    token, before = piece[at], piece[at - 1]
    span = span_of(source, token)
    for_a_name = "NAME" in accepts and not accepts & {"NUMBER", "RBRACE"}
    if for_a_name and token in [h.word for h in Handling]:
        return _error(codes.RESERVED, f"`{token}` is a handling; choose another name", span)
    if for_a_name and token.isidentifier() and token.type != "NAME":
        return _error(codes.RESERVED, f"`{token}` is a word of the language; choose another name", span)
    if for_a_name and token.type == "PATH" and before in ("let", "param", "policy"):
        return _error(codes.SYNTAX, "a name has no dots", span, f"write `{token.replace('.', '_')}`")
    brace = unclosed(piece)
    if token.type == "RBRACE" and "$END" in accepts:
        return _error(codes.UNCLOSED, "no `{` is open here", span)
    if brace is not None and "RBRACE" in accepts and token.line != before.line:
        label = Label(span_of(source, brace), "opened here")
        return _error(codes.UNCLOSED, "expected `}` before this", span, labels=(label,))
    if "$END" in accepts and token.type == "NAME" and token.line != before.line:
        near = did_you_mean(token, STATEMENTS)
        if near:
            return _error(codes.SYNTAX, "expected a statement", span, near)
    return _error(codes.SYNTAX, expected(accepts), span, _advice(token, before, accepts))


def _ends_early(source: Source, piece: list[Token], accepts: Set[str]) -> Diagnostic:
    last = piece[-1]
    line, column = last.end_line or 1, last.end_column or 1
    end = Span(source, line, column, line, column + 1)
    brace = unclosed(piece)
    if brace is not None and "RBRACE" in accepts:
        label = Label(span_of(source, brace), "opened here")
        return _error(codes.UNCLOSED, "this `{` is never closed", end, "write `}`", (label,))
    return _error(codes.SYNTAX, "the statement ends too early: " + expected(accepts), end)


def _advice(token: Token, before: Token, accepts: Set[str]) -> str:
    match token.type:
        case "CMP" | "LE" if "AND" in accepts:
            return "comparisons do not chain: write `a < b and b < c`"
        case "EQUAL" if "CMP" in accepts:
            return "to compare, write `==`"
        case "STAR" if before.type == "STAR":
            return "a power is written `x ^ 3`"
        case "NAME" | "DIRECTION" if token in _ASCENDING and "COMMA" in accepts:
            return "a direction stands before its key: `rank highest X`"
    if accepts == {"ELSE"}:
        return "an `if` needs both branches: `if A { X } else { Y }`"
    return ""


def expected(accepts: Set[str]) -> str:
    """`expected a value or `}``: at most five alternatives, the telling ones first."""
    rest = set(accepts)
    words = []
    if {"NUMBER", "NAME", "LPAR"} <= rest:
        words.append("a value")
        rest -= {
            "NUMBER", "QUANTITY", "NAME", "PATH", "LPAR", "MINUS", "NOT", "STRING", "HANDLING", "IF", "MATCH", "TRUE",
            "FALSE", "__ANON_0", "DIRECTION",
        }  # fmt: skip
    elif {"NUMBER", "QUANTITY"} <= rest:
        words.append("a number or a quantity such as `5s`")
        rest -= {"NUMBER", "QUANTITY", "MINUS"}
    if {"PLUS", "STAR"} <= rest:
        rest -= _OPERATORS
        words.append("an operator")
    if len(rest) > 1:
        rest -= {"$END"}
    words += sorted((_WORDS.get(t, f"`{t.lower()}`") for t in rest), key=lambda w: (w[0] == "`", w))
    words = words[:5]
    return "expected " + (words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1])
