"""Azure's LLM inference traces of 2023 and 2024 (GitHub Azure/AzurePublicDataset, CC BY 4.0).

CSV with TIMESTAMP, ContextTokens, GeneratedTokens: a request a row, `2023-11-16 18:17:03.9799600` or, in 2024, with
`+00:00` behind. There are no sessions: each request is one of its own, at its recorded time.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine_adapter.workload.importing.reading import Findings, Imported, Source, csv_rows, instant, tokens
from engine_adapter.workload.trace import SessionTrace, Turn

_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_LOST = ("which requests belong together: every one is a session of its own", "tools, shared prefixes, tenants")


def read(sources: Sequence[Source]) -> Imported:
    """Each row as a session of one turn. Rows without a prompt are skipped. Raises TraceError with all bad rows."""
    findings = Findings()
    sessions: list[SessionTrace] = []
    for place, row in csv_rows(sources, _COLUMNS, findings):
        try:
            at_s = instant(row["TIMESTAMP"], "TIMESTAMP")
            prompt = tokens(row["ContextTokens"], "ContextTokens")
            output = tokens(row["GeneratedTokens"], "GeneratedTokens")
        except ValueError as problem:
            findings.problems.append(f"{place}: {problem}")
            continue
        if prompt == 0:
            findings.skipped["no prompt"] += 1
            continue
        sessions.append(SessionTrace(f"azure-{len(sessions):06d}", (Turn(prompt, 0, max(1, output)),), start_s=at_s))
    return findings.imported(sessions, _LOST)
