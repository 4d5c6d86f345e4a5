"""How long the language server takes after a keystroke in a policy of 300 lines (bound: 0.1 s for each answer).

A client starts `lamps lsp` and types 30 characters into the middle of the file; after each it asks for completion,
hover and inlays, and waits for the findings. These come 50 ms after the last keystroke at the earliest (PAUSE_S);
that pause is part of the time. Writes benchmarks/results/lsp.json and exits 1 when a median is over the bound.
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

import policies

ROOT = Path(__file__).parent.parent
LAMPS = Path(sys.executable).with_name("lamps")
URI = "file:///bench.lamps"
KEYSTROKES = 30
BOUND_S = 0.1


def policy_of_300_lines() -> str:
    """`lamps` with its tests repeated under other titles."""
    head, *tests = policies.find("lamps").read_text().split("\ntest ")
    text = head
    while text.count("\n") < 300:
        text += "".join(f'\ntest "{text.count("test ")} {test[1:]}' for test in tests)
    return text


async def typed() -> dict[str, list[float]]:
    """Seconds until each kind of answer, one figure a keystroke."""
    times: dict[str, list[float]] = defaultdict(list)
    client = LanguageClient("bench", "1")
    shown: asyncio.Queue[int | None] = asyncio.Queue()

    @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    def published(params: lsp.PublishDiagnosticsParams) -> None:
        shown.put_nowait(params.version)

    await client.start_io(str(LAMPS), "lsp")
    await client.initialize_async(lsp.InitializeParams(capabilities=lsp.ClientCapabilities()))
    client.initialized(lsp.InitializedParams())
    text = policy_of_300_lines()
    client.text_document_did_open(lsp.DidOpenTextDocumentParams(lsp.TextDocumentItem(URI, "lamps", 0, text)))
    await shown.get()
    document = lsp.TextDocumentIdentifier(URI)
    before, line, after = text.partition("\nrank ")
    row = before.count("\n") + 1
    word = "request.arrival - session.arrival > 100ms, "[:KEYSTROKES]
    for version in range(1, KEYSTROKES + 1):
        now = lsp.Position(row, len("rank ") + version)
        whole = lsp.TextDocumentContentChangeWholeDocument(before + line + word[:version] + after)
        began = time.perf_counter()
        client.text_document_did_change(
            lsp.DidChangeTextDocumentParams(lsp.VersionedTextDocumentIdentifier(version, URI), [whole])
        )
        await client.text_document_completion_async(lsp.CompletionParams(document, now))
        times["completion"].append(time.perf_counter() - began)
        asked = time.perf_counter()
        await client.text_document_hover_async(lsp.HoverParams(document, now))
        times["hover"].append(time.perf_counter() - asked)
        asked = time.perf_counter()
        lines = lsp.Range(lsp.Position(0, 0), lsp.Position(300, 0))
        await client.text_document_inlay_hint_async(lsp.InlayHintParams(document, lines))
        times["inlays"].append(time.perf_counter() - asked)
        while await shown.get() != version:
            pass
        times["findings"].append(time.perf_counter() - began)
    await client.shutdown_async(None)
    client.exit(None)
    await client.stop()
    return times


def main() -> int:
    figures = {}
    for name, times in asyncio.run(typed()).items():
        median = statistics.median(times)
        figures[name] = {"median_s": round(median, 4), "max_s": round(max(times), 4), "bound_s": BOUND_S}
        print(f"{name:<12} median {median:.3f} s, max {max(times):.3f} s, bound {BOUND_S} s")
    document = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "lines": policy_of_300_lines().count("\n"),
        "keystrokes": KEYSTROKES,
        "after_a_keystroke": figures,
    }
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / "lsp.json").write_text(json.dumps(document, indent=2) + "\n")
    return int(any(figure["median_s"] > figure["bound_s"] for figure in figures.values()))


if __name__ == "__main__":
    sys.exit(main())
