"""The language server: what an editor asks, answered by `policy_dsl.editor` through pygls.

The whole document is checked again after a change (10 to 40 ms for 300 lines), when typing pauses or when
something is asked, whichever is first.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.server import LanguageServer

from lamps_cli.lsp_types import Places, changed_lines
from policy_dsl.editor import actions, completion, hover, inlay, navigation
from policy_dsl.editor.document import Document, read
from policy_dsl.formatting import format_source
from policy_dsl.lint.run import fix

PAUSE_S = 0.05  # without typing, before findings are shown


class LampsServer(LanguageServer):
    """Keeps each open document as last checked."""

    def __init__(self) -> None:
        super().__init__("lamps", version("vllm-lamps"), text_document_sync_kind=lsp.TextDocumentSyncKind.Full)
        self._documents: dict[str, tuple[str, Document]] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    @property
    def places(self) -> Places:
        return Places(self.workspace.position_codec)

    def document(self, uri: str) -> Document:
        """The policy at *uri*, checked as it is now."""
        text = self.workspace.get_text_document(uri).source
        known = self._documents.get(uri)
        if known is None or known[0] != text:
            known = (text, read(text, uris.to_fs_path(uri) or uri if uri.startswith("file:") else uri))
            self._documents[uri] = known
        return known[1]

    def publish_soon(self, uri: str) -> None:
        """Shows the findings when nothing more has been typed for a moment."""
        self._cancel(uri)
        self._waiting[uri] = asyncio.get_running_loop().call_later(PAUSE_S, self.publish, uri)

    def publish(self, uri: str) -> None:
        self._cancel(uri)
        doc = self.document(uri)
        found = [self.places.diagnostic(finding) for finding in doc.findings]
        now = self.workspace.get_text_document(uri).version
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, found, now))

    def check_again(self) -> None:
        """After a file changed on disk: others may be built on it."""
        for uri in list(self._documents):
            del self._documents[uri]
            self.publish(uri)

    def forget(self, uri: str) -> None:
        self._cancel(uri)
        self._documents.pop(uri, None)
        self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, []))

    def _cancel(self, uri: str) -> None:
        waiting = self._waiting.pop(uri, None)
        if waiting is not None:
            waiting.cancel()


def serve() -> None:
    """Serves an editor over stdin and stdout until it hangs up."""
    make().start_io()


def make() -> LampsServer:
    """The server with all it can do."""
    server = LampsServer()
    _synchronise(server)
    _read(server)
    _change(server)
    return server


def _synchronise(server: LampsServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: LampsServer, params: lsp.DidOpenTextDocumentParams) -> None:
        ls.publish(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def changed(ls: LampsServer, params: lsp.DidChangeTextDocumentParams) -> None:
        ls.publish_soon(params.text_document.uri)

    @server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
    def saved(ls: LampsServer, params: lsp.DidSaveTextDocumentParams) -> None:
        ls.check_again()

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: LampsServer, params: lsp.DidCloseTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)


def _read(server: LampsServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_HOVER)
    def hovered(ls: LampsServer, params: lsp.HoverParams) -> lsp.Hover | None:
        doc = ls.document(params.text_document.uri)
        found = hover.hover(doc, *ls.places.line_column(doc.source, params.position))
        if found is None:
            return None
        return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, found.text), ls.places.range(found.span))

    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions(trigger_characters=["."]))
    def completed(ls: LampsServer, params: lsp.CompletionParams) -> lsp.CompletionList:
        doc = ls.document(params.text_document.uri)
        return ls.places.completions(completion.complete(doc, *ls.places.line_column(doc.source, params.position)))

    @server.feature(lsp.TEXT_DOCUMENT_DEFINITION)
    def defined(ls: LampsServer, params: lsp.DefinitionParams) -> lsp.Location | None:
        doc = ls.document(params.text_document.uri)
        span = navigation.definition(doc, *ls.places.line_column(doc.source, params.position))
        return None if span is None else ls.places.location(span)

    @server.feature(lsp.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(ls: LampsServer, params: lsp.DocumentSymbolParams) -> list[lsp.DocumentSymbol]:
        return [ls.places.symbol(symbol) for symbol in navigation.symbols(ls.document(params.text_document.uri))]

    @server.feature(lsp.TEXT_DOCUMENT_INLAY_HINT)
    def inlaid(ls: LampsServer, params: lsp.InlayHintParams) -> list[lsp.InlayHint]:
        doc = ls.document(params.text_document.uri)
        found = inlay.inlays(doc, params.range.start.line + 1, params.range.end.line + 1)
        return [
            lsp.InlayHint(ls.places.position(doc.source, i.line, i.column), i.text, lsp.InlayHintKind.Type)
            for i in found
        ]


def _change(server: LampsServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_FORMATTING)
    def formatted(ls: LampsServer, params: lsp.DocumentFormattingParams) -> list[lsp.TextEdit] | None:
        doc = ls.document(params.text_document.uri)
        done = format_source(doc.source)
        return None if done.text is None else [ls.places.edit(e) for e in changed_lines(doc.source, done.text)]

    kinds = [lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.SourceFixAll]

    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=kinds))
    def acted(ls: LampsServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        doc = ls.document(uri)
        only = params.context.only
        found = []
        if only is None or lsp.CodeActionKind.QuickFix in only:
            first, last = params.range.start.line + 1, params.range.end.line + 1
            found += [_quick_fix(ls, uri, action) for action in actions.actions(doc, first, last)]
        if (only is None or lsp.CodeActionKind.SourceFixAll in only) and any(f.fix for f in doc.findings):
            text, count = fix(doc.loaded)
            edits = [ls.places.edit(e) for e in changed_lines(doc.source, text)]
            if count:
                title = f"make all certain fixes ({count})"
                workspace_edit = lsp.WorkspaceEdit({uri: edits})
                found.append(lsp.CodeAction(title, lsp.CodeActionKind.SourceFixAll, edit=workspace_edit))
        return found


def _quick_fix(ls: LampsServer, uri: str, action: actions.Action) -> lsp.CodeAction:
    return lsp.CodeAction(
        title=action.title,
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[ls.places.diagnostic(action.finding)],
        is_preferred=action.finding.fix is not None,
        edit=lsp.WorkspaceEdit({uri: [ls.places.edit(edit) for edit in action.edits]}),
    )
