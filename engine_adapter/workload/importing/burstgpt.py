"""BurstGPT (GitHub HPMLL/BurstGPT, arXiv 2401.17644, CC BY 4.0).

CSV with Timestamp (seconds), Model, Request tokens, Response tokens, Total tokens, Log Type; since release 2.0 also
Session ID and Elapsed time (seconds until the answer was complete). A request with 0 response tokens had failed.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine_adapter.workload.importing.reading import (
    Findings,
    Growing,
    Imported,
    Source,
    csv_rows,
    seconds,
    tokens,
)
from engine_adapter.workload.trace import Turn

_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
_LOST = (
    "how much of a prompt repeats the turn before: where it is at least as long as that turn with its answer, all of"
    " it is taken to be repeated, else nothing",
    "what the gaps were: taken to be people",
    "tools, models, tenants",
)


def read(sources: Sequence[Source]) -> Imported:
    """Sessions by Session ID; without that column each request is one. Raises TraceError with all bad rows.

    Requests are put in order of time. The gap of a turn is its time less the time when the answer before was complete.
    """
    findings = Findings()
    requests: list[tuple[float, float, str, int, int]] = []
    for place, row in csv_rows(sources, _COLUMNS, findings):
        try:
            at_s = seconds(row["Timestamp"], "Timestamp")
            took_s = seconds(row.get("Elapsed time") or 0, "Elapsed time")
            prompt = tokens(row["Request tokens"], "Request tokens")
            output = tokens(row["Response tokens"], "Response tokens")
        except ValueError as problem:
            findings.problems.append(f"{place}: {problem}")
            continue
        if output == 0 or prompt == 0:
            findings.skipped["failed requests"] += 1
        else:
            requests.append((at_s, at_s + took_s, row.get("Session ID") or place, prompt, output))
    sessions: dict[str, Growing] = {}
    for at_s, ended_s, key, prompt, output in sorted(requests):
        session = sessions.get(key)
        if session is None:
            first = Turn(prompt, 0, output)
            sessions[key] = Growing(f"burstgpt-{len(sessions):06d}", at_s, [first], ended_s)
        else:
            shared = session.known if prompt >= session.known else 0
            session.turns.append(Turn(prompt, shared, output, max(0.0, at_s - session.ended_s), "user"))
            session.ended_s = max(session.ended_s, ended_s)
    return findings.imported([session.finished() for session in sessions.values()], _LOST)
