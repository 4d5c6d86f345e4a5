"""Answers of `policy_dsl.editor` in the types of the Language Server Protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types as lsp
from pygls import uris
from pygls.workspace import PositionCodec

import policy_dsl
from policy_dsl.diagnostics.model import Diagnostic, Edit, Severity, Source, Span
from policy_dsl.editor.completion import Completions, Item, ItemKind
from policy_dsl.editor.navigation import Symbol, SymbolKind

_SEVERITIES = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.INFO: lsp.DiagnosticSeverity.Information,
}
_ITEMS = {
    ItemKind.STATEMENT: lsp.CompletionItemKind.Snippet,
    ItemKind.WORD: lsp.CompletionItemKind.Keyword,
    ItemKind.SIGNAL: lsp.CompletionItemKind.Field,
    ItemKind.FUNCTION: lsp.CompletionItemKind.Function,
    ItemKind.PARAM: lsp.CompletionItemKind.Constant,
    ItemKind.VALUE: lsp.CompletionItemKind.Variable,
}
_SYMBOLS = {
    SymbolKind.POLICY: lsp.SymbolKind.Module,
    SymbolKind.PARAM: lsp.SymbolKind.Constant,
    SymbolKind.VALUE: lsp.SymbolKind.Variable,
    SymbolKind.FUNCTION: lsp.SymbolKind.Function,
    SymbolKind.HINT: lsp.SymbolKind.Field,
    SymbolKind.CLASS: lsp.SymbolKind.Class,
    SymbolKind.RULE: lsp.SymbolKind.Event,
    SymbolKind.TEST: lsp.SymbolKind.Method,
}
_PRELUDE = Path(policy_dsl.__file__).with_name("prelude.lamps")


@dataclass(frozen=True, slots=True)
class Places:
    """Converts places of policies (from 1, in characters) to the client's (from 0, in its units) and back."""

    codec: PositionCodec

    def line_column(self, source: Source, position: lsp.Position) -> tuple[int, int]:
        found = self.codec.position_from_client_units(_lines(source), position)
        return found.line + 1, found.character + 1

    def position(self, source: Source, line: int, column: int) -> lsp.Position:
        lines = _lines(source)
        place = lsp.Position(min(line, len(lines)) - 1, max(0, min(column - 1, len(lines[min(line, len(lines)) - 1]))))
        return self.codec.position_to_client_units(lines, place)

    def range(self, span: Span) -> lsp.Range:
        start = self.position(span.source, span.line, span.column)
        return lsp.Range(start, self.position(span.source, span.end_line, span.end_column))

    def location(self, span: Span) -> lsp.Location:
        return lsp.Location(_uri(span.source.path), self.range(span))

    # --- answers

    def diagnostic(self, finding: Diagnostic) -> lsp.Diagnostic:
        text = f": {finding.text}" if finding.text else ""
        help = f"\n{finding.help}" if finding.help else ""
        related = [lsp.DiagnosticRelatedInformation(self.location(label.span), label.text) for label in finding.labels]
        return lsp.Diagnostic(
            range=self.range(finding.span),
            message=f"{finding.message}{text}{help}",
            severity=_SEVERITIES[finding.severity],
            code=finding.code,
            source="lamps",
            related_information=related,
        )

    def edit(self, edit: Edit) -> lsp.TextEdit:
        return lsp.TextEdit(self.range(edit.span), edit.text)

    def completions(self, found: Completions) -> lsp.CompletionList:
        place = self.range(found.typed)
        return lsp.CompletionList(False, [_item(item, place, i) for i, item in enumerate(found.items)])

    def symbol(self, symbol: Symbol) -> lsp.DocumentSymbol:
        return lsp.DocumentSymbol(
            name=symbol.name or symbol.kind.value,
            kind=_SYMBOLS[symbol.kind],
            range=self.range(symbol.span),
            selection_range=self.range(symbol.name_span),
            detail=symbol.detail,
        )


def _item(item: Item, place: lsp.Range, order: int) -> lsp.CompletionItem:
    return lsp.CompletionItem(
        label=item.label,
        kind=_ITEMS[item.kind],
        detail=item.detail,
        documentation=item.doc,
        insert_text_format=lsp.InsertTextFormat.Snippet if "$" in item.insert else lsp.InsertTextFormat.PlainText,
        text_edit=lsp.TextEdit(place, item.insert),
        filter_text=item.label,
        sort_text=f"{order:04}",
    )


def changed_lines(source: Source, text: str) -> list[Edit]:
    """*text* in place of *source* as at most one edit of whole lines: cursors and folds elsewhere stay."""
    before, after = source.text.split("\n"), text.split("\n")
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    end = 0
    while end < min(len(before), len(after)) - same and before[-1 - end] == after[-1 - end]:
        end += 1
    if same == len(before) == len(after):
        return []
    last = len(before) - end
    new = after[same : len(after) - end]
    if end:
        return [Edit(Span(source, same + 1, 1, last + 1, 1), "".join(f"{line}\n" for line in new))]
    return [Edit(Span(source, same + 1, 1, len(before), len(before[-1]) + 1), "\n".join(new))]


def _lines(source: Source) -> list[str]:
    return source.text.split("\n")


def _uri(path: str) -> str:
    """Of a file, of the prelude, or of a buffer that has no file."""
    if path == "<prelude>":
        return uris.from_fs_path(str(_PRELUDE)) or path
    return path if ":" in path.split("/", 1)[0] else uris.from_fs_path(str(Path(path).absolute())) or path
