"""What a file is made of, for the formatter: tokens that carry their comments, in groups of brackets.

Nothing here knows a statement. Entries of braces (arms, cases, fields, steps of a test) are found in the
syntax tree: they are the outermost nodes that begin inside a pair of braces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from lark import Token

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Source

CLOSING = {"LBRACE": "RBRACE", "LPAR": "RPAR", "LSQB": "RSQB"}
_OPERANDS = {"NAME", "PATH", "NUMBER", "QUANTITY", "STRING", "HANDLING", "TRUE", "FALSE", *CLOSING.values()}
# A line does not begin with one of these, so comments before them move behind them.
_NEVER_FIRST = {"MINUS", "COMMA", "COLON", "EQUAL", "LBRACE", "ELSE", "LSQB"}


@dataclass(slots=True)
class Comment:
    """*same_line*: behind code; then there is at most one, the first. *blank*: an empty line stands before it."""

    text: str
    same_line: bool
    blank: bool


@dataclass(slots=True)
class Tok:
    """A token. *lead*: the comments before it on lines of their own; *trail*: the one behind it on its line."""

    type: str
    text: str
    place: tuple[int, int]
    first: bool = False  # the first of its line in the source
    blank: bool = False  # an empty line before it (after its lead)
    lead: list[Comment] = field(default_factory=list)
    trail: str = ""


@dataclass(slots=True)
class Group:
    """A pair of brackets. An entry of parentheses ends with its comma; those of braces have none."""

    open: Tok
    close: Tok
    entries: list[Item]
    broken: bool = False  # cannot stand on one line
    flat: str = ""  # it on one line

    @property
    def braces(self) -> bool:
        return self.open.type == "LBRACE"


Node = Tok | Group
Item = list[Node]
Place = tuple[int, int]


def first_token(item: Item) -> Tok:
    return item[0].open if isinstance(item[0], Group) else item[0]


def last_token(item: Item) -> Tok:
    return item[-1].close if isinstance(item[-1], Group) else item[-1]


# --- entries


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.name != "span")


def parts(value: Any) -> tuple[Any, ...] | None:
    """What a node or a tuple of nodes consists of, spans left out; None for a plain value."""
    if isinstance(value, nodes.Syntax):
        kind: Any = type(value)
        return tuple(getattr(value, name) for name in _names(kind))
    return value if isinstance(value, tuple) else None


def entry_places(statements: Iterable[nodes.Statement], inside: dict[Place, int]) -> set[Place]:
    """Where entries of braces begin. *inside* gives for the place of each token the braces around it."""
    found: set[Place] = set()
    waiting: list[tuple[Any, int]] = [(s, -1) for s in statements]
    while waiting:
        value, braces = waiting.pop()
        if isinstance(value, nodes.Syntax):
            place = (value.span.line, value.span.column)
            mine = inside.get(place, braces)
            if mine != braces:
                found.add(place)
            braces = mine
        waiting += [(part, braces) for part in parts(value) or ()]
    return found


def braces_around(tokens: Iterable[Token]) -> dict[Place, int]:
    """For the place of each token a number of the innermost braces it stands in, -1 for none."""
    found: dict[Place, int] = {}
    still_open = [-1]
    for i, token in enumerate(tokens):
        if token.type == "RBRACE":
            still_open.pop()
        found[place_of(token)] = still_open[-1]
        if token.type == "LBRACE":
            still_open.append(i)
    return found


def place_of(token: Token) -> Place:
    return token.line or 1, token.column or 1


# --- tokens and comments


def tokens_with_comments(source: Source, tokens: list[Token], entries: set[Place]) -> list[Tok]:
    """The tokens, commas between entries left out, and last a token `END` with the comments at the end of the file."""
    kept: list[Tok] = []
    behind = 0  # the text up to here has been read
    comments: list[Comment] = []
    for i, token in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        if token.type == "COMMA" and after is not None and (after.type == "RBRACE" or place_of(after) in entries):
            continue
        assert token.start_pos is not None and token.end_pos is not None
        text = str(token) if token.type == "STRING" else " ".join(token.split())
        made = Tok(_type(token, kept), text, place_of(token))
        comments += _gap(source.text[behind : token.start_pos], made, first=not kept)
        behind = token.end_pos
        applies = made.type == "LPAR" and bool(kept) and kept[-1].type == "NAME"
        if (made.type in _NEVER_FIRST or applies) and kept:
            made.blank = False
        else:
            _attach(comments, kept, made)
            comments = []
        kept.append(made)
    end = Tok("END", "", (0, 0))
    _attach(comments + _gap(source.text[behind:], end, first=not kept), kept, end)
    return [*kept, end]


def _type(token: Token, kept: list[Tok]) -> str:
    """Its type; a minus without a left side is `NEG`."""
    if token.type != "MINUS" or (kept and (kept[-1].type in _OPERANDS or kept[-1].text == "handling")):
        return token.type
    return "NEG"


def _gap(text: str, tok: Tok, first: bool) -> list[Comment]:
    """The comments in the text before *tok*. Notes whether *tok* begins a line, and follows an empty one."""
    lines = text.split("\n")
    tok.first = len(lines) > 1
    found = []
    blank = False
    for i, line in enumerate(lines if tok.type == "END" else lines[:-1]):
        words = line.lstrip(" \t\f\r,").rstrip()
        if words:
            found.append(Comment(words, i == 0 and not first, blank))
            blank = False
        elif i > 0 and "," not in line:
            blank = True
    tok.blank = blank
    return found


def _attach(comments: list[Comment], kept: list[Tok], tok: Tok) -> None:
    """Gives the comments before *tok* to it, and a first one that stands behind code to the token before."""
    if comments and comments[0].same_line and kept:
        kept[-1].trail = comments[0].text
        comments = comments[1:]
    tok.lead = comments


# --- groups


def grouped(toks: list[Tok], entries: set[Place]) -> Item:
    """One statement as a tree of brackets, innermost settled first."""
    items: list[list[Item]] = [[[]]]  # for each open bracket its entries
    opened: list[Tok] = []
    for tok in toks:
        if opened and tok.type == CLOSING[opened[-1].type]:
            inner = [item for item in items.pop() if item]
            items[-1][-1].append(_settled(Group(opened.pop(), tok, inner)))
            continue
        if opened and opened[-1].type == "LBRACE" and tok.place in entries and items[-1][-1]:
            items[-1].append([])
        if tok.type in CLOSING:
            opened.append(tok)
            items.append([[]])
            continue
        items[-1][-1].append(tok)
        if opened and opened[-1].type != "LBRACE" and tok.type == "COMMA":
            items[-1].append([])
    (statement,) = items[0]
    settle_braces(statement)
    return statement


def settle_braces(item: Item) -> None:
    """If one of the braces side by side is broken, all are: `if {...} else {...}` has one shape."""
    braces = [node for node in item if isinstance(node, Group) and node.braces]
    if any(group.broken for group in braces):
        for group in braces:
            group.broken = True


def _settled(group: Group) -> Group:
    for entry in group.entries:
        settle_braces(entry)
    group.broken = bool(group.open.trail or group.close.lead) or any(map(_unflat, _tails(group)))
    if group.braces and group.entries:
        several = len(group.entries) > 1 and any(map(_lists_patterns, group.entries))
        group.broken = group.broken or several or first_token(group.entries[0]).first
    group.flat = flat_group(group)
    return group


def _tails(group: Group) -> Iterator[Node]:
    for entry in group.entries:
        yield from entry


def _unflat(node: Node) -> bool:
    if isinstance(node, Tok):
        return bool(node.trail or node.lead)
    return node.broken or bool(node.close.trail or node.open.lead)


def has_comment(item: Item) -> bool:
    """Whether a comment or a broken group keeps *item* from standing on one line. Its edges don't count."""
    inner = [_unflat(node) for node in item[1:-1]]
    head, tail = item[0], item[-1]
    if len(item) == 1:
        return isinstance(head, Group) and head.broken
    starts = bool(head.trail) if isinstance(head, Tok) else head.broken or bool(head.close.trail)
    ends = bool(tail.lead) if isinstance(tail, Tok) else tail.broken or bool(tail.open.lead)
    return starts or ends or any(inner)


def _lists_patterns(entry: Item) -> bool:
    """`preserve, swap: 0`: beside other entries on one line the commas would not be told apart."""
    for node in entry:
        if isinstance(node, Tok) and node.type in ("COMMA", "COLON"):
            return node.type == "COMMA"
    return False


# --- one line


def separator(before: Tok | None, tok: Tok) -> str:
    """What stands between two tokens on one line."""
    if before is None or tok.type in ("COMMA", "COLON", "DOTS") or before.type in ("DOTS", "NEG"):
        return ""
    return "" if tok.type == "LPAR" and before.type == "NAME" else " "


def flat(item: Item) -> str:
    """*item* on one line."""
    before: Tok | None = None
    written = []
    for node in item:
        tok, text = (node, node.text) if isinstance(node, Tok) else (node.open, node.flat)
        written += [separator(before, tok), text]
        before = node if isinstance(node, Tok) else node.close
    return "".join(written)


def flat_group(group: Group) -> str:
    if group.braces:
        inner = ", ".join(map(flat, group.entries))
        return f"{{ {inner} }}" if inner else "{}"
    return group.open.text + " ".join(map(flat, group.entries)) + group.close.text
