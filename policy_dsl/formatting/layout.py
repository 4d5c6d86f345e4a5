"""Items (statements, entries of braces) to lines. Knows brackets and operators, but hardly any statement.

Whoever wrote the policy decides what is one line: braces whose first entry began a line, and sums or
conditions that were broken at their weakest operator, stay broken. Otherwise a line breaks only where it
must: at a comment, or at the width, first at braces, then at the weakest operator.
"""

from __future__ import annotations

from policy_dsl.formatting import breaks
from policy_dsl.formatting.columns import WIDTH, Line
from policy_dsl.formatting.heads import head_of, table
from policy_dsl.formatting.pieces import (
    Group,
    Item,
    Node,
    Tok,
    first_token,
    flat,
    has_comment,
    last_token,
    separator,
)

INDENT = 2


def begins_blank(tok: Tok) -> bool:
    """Whether the source has an empty line before *tok* and the comments above it."""
    return tok.lead[0].blank if tok.lead else tok.blank


class Layout:
    """Collects the lines. Where an item is continued is its *indent*, its empty cells, and *extra* spaces."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._item = 0
        self._indent = 0
        self._extra = 0
        self._tags: list[str] = []
        self._before: Tok | None = None  # the token before, in this cell
        self._empty = True  # nothing on this line yet

    @property
    def _line(self) -> Line:
        return self.lines[-1]

    def item(self, item: Item, indent: int, blank: bool) -> None:
        """An item on lines of its own. *blank*: with an empty line before it and its comments."""
        head = first_token(item)
        self.comments(head, indent, blank)
        self._item += 1
        self._begin(indent, head.blank if head.lead else blank)
        head.lead = []
        self._body(item)

    def comments(self, tok: Tok, indent: int, blank: bool) -> None:
        """The comments above *tok*; *blank*: with an empty line before the first."""
        for i, comment in enumerate(tok.lead):
            self._begin(indent, comment.blank if i else blank)
            self._line.cells[-1] = comment.text

    # --- an item

    def _body(self, item: Item) -> None:
        head, tag = head_of(item)
        room = WIDTH - self._indent
        if not has_comment(item) and not breaks.kept(item[head:]) and len(flat(item)) <= room:
            self._cells(table(item, head, tag), last_token(item))
            return
        self._extra = INDENT
        if head:
            self._sequence(item[:head])
            self._cell(tag or f"item {self._item}")
            self._tags = list(self._line.tags)
            self._extra = 0
        if item[head:]:
            self._split(item[head:])

    def _cells(self, cells: list[tuple[str, str]], last: Tok) -> None:
        """A whole item on one line: texts and the tags before them."""
        for tag, text in cells:
            if tag:
                self._cell(tag)
            self._line.cells[-1] += text
        self._line.comment = last.trail

    def _split(self, item: Item) -> None:
        """Breaks at braces if one of them must, else at operators."""
        braces = [n for n in item if isinstance(n, Group) and n.braces and (n.entries or n.broken)]
        if not braces or not (any(b.broken for b in braces) or has_comment(item) or not self._fits(item)):
            self._run(item)
            return
        run: Item = []
        for node in item:
            if not any(node is group for group in braces):
                run.append(node)
                continue
            assert isinstance(node, Group)
            if run:
                self._run(run, reserve=2)
                run = []
            self._braces(node)
        if run:
            self._run(run)

    def _braces(self, group: Group) -> None:
        self._put(group.open)
        outer, mine, extra = self._indent, self._line_indent(), self._extra
        for i, entry in enumerate(group.entries):
            self.item(entry, mine + INDENT, blank=i > 0 and begins_blank(first_token(entry)))
        self.comments(group.close, mine + INDENT, blank=bool(group.entries) and begins_blank(group.close))
        group.close.lead = []
        self._item += 1
        self._begin(mine, blank=False)
        self._put(group.close)
        self._indent, self._extra = outer, max(extra, INDENT)

    def _line_indent(self) -> int:
        """Where this line begins; a little inside the item where it continues below the first column."""
        line = self._line
        if line.tags and not any(line.cells[:-1]):
            return line.indent + INDENT
        return line.indent + len(line.cells[0]) - len(line.cells[0].lstrip())

    # --- runs: what stands between broken braces

    def _run(self, run: Item, reserve: int = 0) -> None:
        """*reserve*: columns needed behind it on its last line."""
        level = breaks.weakest(run)
        if not has_comment(run) and not breaks.kept(run) and self._fits(run, reserve):
            self._flat(run)
        elif level is None:
            self._sequence(run)
        else:
            first, *others = breaks.parts(run, level)
            deeper = breaks.hang(run, level) * INDENT
            self._run(first, 0 if others else reserve)
            for i, part in enumerate(others, 1):
                self._extra += deeper
                self._newline()
                self._leads(first_token(part))
                self._extra += INDENT
                self._run(part, reserve if i == len(others) else 0)
                self._extra -= INDENT + deeper

    def _sequence(self, run: Item) -> None:
        """No operator to break at: groups break where they don't fit."""
        for i, node in enumerate(run):
            following = next((j for j in range(i + 1, len(run)) if isinstance(run[j], Group)), len(run))
            if isinstance(node, Tok):
                self._put(node)
            elif not node.broken and self._fits(run[i:following]):
                self._flat([node])
            elif node.braces:
                self._braces(node)
            else:
                self._parentheses(node)

    def _parentheses(self, group: Group) -> None:
        self._put(group.open)
        self._extra += INDENT
        for entry in group.entries:
            self._newline()
            self._split(entry)
        for comment in group.close.lead:
            self._newline()
            self._line.cells[-1] += comment.text
        group.close.lead = []
        self._extra -= INDENT
        self._newline()
        self._put(group.close)

    def _fits(self, item: Item, reserve: int = 0) -> bool:
        text = separator(self._before, first_token(item)) + flat(item)
        commented = bool(self._line.comment)  # then it begins a line
        return commented or len(self._line.code) + len(text) + reserve <= WIDTH

    # --- tokens and lines

    def _flat(self, item: Item) -> None:
        for node in item:
            self._put(node)

    def _put(self, node: Node) -> None:
        """A token, or a group on one line; on a new line if a comment stands before it."""
        tok, last, text = (node, node, node.text) if isinstance(node, Tok) else (node.open, node.close, node.flat)
        self._leads(tok)
        if self._line.comment:
            self._newline()
        self._line.cells[-1] += separator(self._before, tok) + text
        self._line.comment = last.trail
        self._before = last
        self._empty = False

    def _leads(self, tok: Tok) -> None:
        """The comments above a token inside an item; afterwards a new line has begun."""
        for comment in tok.lead:
            if not self._empty:
                self._newline()
            self._line.cells[-1] += comment.text
            self._newline()
        tok.lead = []

    def _cell(self, tag: str) -> None:
        """What follows is in the next column."""
        self._line.tags.append(tag)
        self._line.cells.append("")
        self._before = None

    def _begin(self, indent: int, blank: bool) -> None:
        """The first line of an item, or of what follows braces."""
        self.lines.append(Line(indent, self._item, blank=blank))
        self._indent, self._tags, self._before, self._empty = indent, [], None, True

    def _newline(self) -> None:
        """A line that goes on with the item."""
        cells = [*("" for _ in self._tags), " " * self._extra]
        self.lines.append(Line(self._indent, self._item, cells, list(self._tags)))
        self._before, self._empty = None, True
