"""`lamps lsp`, driven over stdin and stdout as an editor does it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("pygls")

import pytest_asyncio
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

from tests.cli.running import lamps

LAMPS = Path(sys.executable).with_name("lamps")
TEXT = 'lamps 1\n\npolicy p "Grüße, 𝓁!"\n\nlet keep = call.duration * call.context\nrank   keep\n'


class Editor:
    """A client with one document, and the findings it was last shown."""

    def __init__(self, client: LanguageClient, uri: str) -> None:
        self.client = client
        self.uri = uri
        self.document = lsp.TextDocumentIdentifier(uri)
        self.shown: asyncio.Queue[list[lsp.Diagnostic]] = asyncio.Queue()
        self._version = 0

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def shown(params: lsp.PublishDiagnosticsParams) -> None:
            if params.uri == uri:
                self.shown.put_nowait(list(params.diagnostics))

    async def open(self, text: str) -> list[lsp.Diagnostic]:
        item = lsp.TextDocumentItem(self.uri, "lamps", 0, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))
        return await asyncio.wait_for(self.shown.get(), 20)

    def type(self, text: str) -> None:
        self._version += 1
        document = lsp.VersionedTextDocumentIdentifier(self._version, self.uri)
        change = lsp.TextDocumentContentChangeWholeDocument(text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [change]))

    async def findings(self) -> list[lsp.Diagnostic]:
        return await asyncio.wait_for(self.shown.get(), 20)

    async def actions(self, line: int) -> list[lsp.CodeAction]:
        place = lsp.Range(lsp.Position(line, 0), lsp.Position(line, 0))
        params = lsp.CodeActionParams(self.document, place, lsp.CodeActionContext([]))
        found = await self.client.text_document_code_action_async(params)
        return [action for action in found or () if isinstance(action, lsp.CodeAction)]


@pytest_asyncio.fixture
async def editor(tmp_path: Path) -> AsyncIterator[Editor]:
    client = LanguageClient("test", "1")
    await client.start_io(str(LAMPS), "lsp", "--stdio")
    editor = Editor(client, (tmp_path / "p.lamps").as_uri())
    await client.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities()))
    client.initialized(lsp.InitializedParams())
    yield editor
    await client.shutdown_async(None)
    client.exit(None)
    await asyncio.wait_for(client.stop(), 10)


async def test_findings_follow_the_typing(editor: Editor) -> None:
    assert [d.severity for d in await editor.open(TEXT) if d.severity == lsp.DiagnosticSeverity.Error] == []
    for word in ("request.a", "request.ariv", "request.arival"):
        editor.type(TEXT.replace("rank   keep", f"rank {word}"))
    (finding,) = await editor.findings()  # of the last change only: the others were typed over
    assert finding.code == "LMP101"
    assert finding.range == lsp.Range(lsp.Position(5, 5), lsp.Position(5, 19))
    assert "did you mean `request.arrival`?" in finding.message
    (action,) = await editor.actions(5)
    assert action.title == "write `request.arrival`"
    assert action.edit is not None
    assert action.edit.changes is not None
    assert [e.new_text for e in action.edit.changes[editor.uri]] == ["request.arrival"]
    assert editor.shown.empty()


async def test_what_an_editor_asks(editor: Editor) -> None:
    await editor.open(TEXT)
    client, document = editor.client, editor.document
    hovered = await client.text_document_hover_async(lsp.HoverParams(document, lsp.Position(5, 8)))
    assert hovered is not None
    assert isinstance(hovered.contents, lsp.MarkupContent)
    assert "let keep: token·seconds" in hovered.contents.value
    where = await client.text_document_definition_async(lsp.DefinitionParams(document, lsp.Position(5, 8)))
    assert isinstance(where, lsp.Location)
    assert (where.uri, where.range.start) == (editor.uri, lsp.Position(4, 4))
    whole = lsp.Range(lsp.Position(0, 0), lsp.Position(9, 0))
    hints = await client.text_document_inlay_hint_async(lsp.InlayHintParams(document, whole))
    assert [(h.position, h.label) for h in hints or ()] == [(lsp.Position(4, 8), ": token·seconds")]
    offered = await client.text_document_completion_async(lsp.CompletionParams(document, lsp.Position(5, 7)))
    assert isinstance(offered, lsp.CompletionList)
    (signal,) = [item for item in offered.items if item.label == "request.arrival"]
    assert signal.detail == "instant"
    outline = await client.text_document_document_symbol_async(lsp.DocumentSymbolParams(document))
    assert [s.name for s in outline or ()] == ["p", "keep", "rank"]


async def test_the_prelude_can_be_gone_to(editor: Editor) -> None:
    await editor.open(TEXT.replace("call.duration * call.context", "prefill_area(call.context, 0)"))
    where = await editor.client.text_document_definition_async(
        lsp.DefinitionParams(editor.document, lsp.Position(4, 12))
    )
    assert isinstance(where, lsp.Location)
    assert where.uri.endswith("/policy_dsl/prelude.lamps")


async def test_formatting_touches_the_lines_that_change(editor: Editor) -> None:
    await editor.open(TEXT)
    params = lsp.DocumentFormattingParams(editor.document, lsp.FormattingOptions(2, True))
    (edit,) = await editor.client.text_document_formatting_async(params) or ()
    assert (edit.range.start, edit.new_text) == (lsp.Position(5, 0), "rank keep\n")
    editor.type("lamps 1\nrank rank")
    assert await editor.client.text_document_formatting_async(params) is None


async def test_columns_are_counted_in_the_editors_units(editor: Editor) -> None:
    """A character outside the basic plane is two units of UTF-16."""
    (finding, *_) = await editor.open(TEXT.replace('!"', '!" rank nope').replace("rank   keep\n", ""))
    assert finding.range.start == lsp.Position(2, len('policy p "Grüße, 𝓁!" rank ') + 1)


def test_without_an_editor_it_ends(tmp_path: Path) -> None:
    assert lamps("lsp").returncode == 0


def test_without_pygls_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "pygls.py").write_text('raise ModuleNotFoundError("No module named pygls", name="pygls")')
    done = lamps("lsp", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "pip install 'vllm-lamps[lsp]'" in done.stderr
