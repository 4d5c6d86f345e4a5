"""The made parts of the reference: functions that give Markdown, of signals, units, limits, codes, rules and the rest.

What the engine adapter fills and carries out is asked of the adapter itself, so that no page claims more.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import clients_page

from engine_adapter.control.metrics import DELIVERIES, METRICS, UP
from engine_adapter.runtime import turn
from engine_adapter.runtime.activation import CARRIED_OUT
from engine_adapter.runtime.costs import Costs
from engine_adapter.runtime.engine import EngineFacts, EngineLoad, snapshot
from lamps_cli.exit_codes import ExitCode
from policy_dsl.catalogue import SIGNALS, Changes, Signal
from policy_dsl.diagnostics.codes import TITLES
from policy_dsl.editor.describe import comments_of, signature
from policy_dsl.editor.words import STATEMENTS
from policy_dsl.functions import BUILTINS
from policy_dsl.limits import LIMITS
from policy_dsl.lint import registry
from policy_dsl.loading import load_text
from policy_dsl.nodes import LetStatement
from policy_dsl.testing import run_tests
from policy_dsl.types import BOOL, HANDLING, Kind
from policy_dsl.units import NAMED, NUMBER, SUFFIXES

_CHANGES = {
    Changes.NEVER: "never",
    Changes.EPOCH: "rarely",
    Changes.REQUEST: "with events of the request",
    Changes.STEP: "every step",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


# --- signals ---------------------------------------------------------------------------------------


def signals(group: str) -> str:
    """The signals of one group, `request` or `engine`."""
    found = [s for s in SIGNALS.values() if s.name.startswith(group + ".") and not s.hidden]
    filled = _filled()
    head = ("signal", "unit", "meaning", "range", "changes", "default", "in tests", "filled")
    return table(head, (_signal(s, s.name in filled) for s in found))


def _signal(s: Signal, filled: bool) -> tuple[str, ...]:
    unit = str(s.type) + (", a prediction" if s.distribution else "")
    meaning = s.doc + ("; may be read in `class`" if s.at_birth else "")
    given = f"`{s.derive}`" if s.derive else _value(s, s.test)
    changes = "fixed" if s.at_birth else _CHANGES[s.changes]
    yes = "yes" if filled else "**no**"
    return f"`{s.name}`", unit, meaning, _range(s), changes, _value(s, s.default), given, yes


def _range(s: Signal) -> str:
    if s.type.kind is not Kind.QUANTITY:
        return ""
    if math.isinf(s.low) and math.isinf(s.high):
        return "any"
    return f"{s.low:g} or more" if math.isinf(s.high) else f"{s.low:g} to {s.high:g}"


def _value(s: Signal, value: float | bool | str) -> str:
    if s.type == BOOL:
        return "true" if value else "false"
    if s.type == HANDLING:
        return "none"
    if isinstance(value, str):
        return f'`"{value}"`'
    return "infinite" if math.isinf(value) else f"{value:,.6g}"


def _filled() -> frozenset[str]:
    """The signals that the adapter knows: of rows those it has a reader for, of the engine those that follow it."""
    low, high = (_snapshot(x) for x in (2.0, 3.0))
    of_engine = {name for name in low if low[name] != high[name]}
    beside_the_snapshot = {"engine.gated", "engine.queue_time", "engine.reserved_elsewhere"}
    return frozenset(turn.SIGNALS) | of_engine | beside_the_snapshot | {"engine.can_swap"}


def _snapshot(x: float) -> Mapping[str, float | bool]:
    n = int(x)
    facts = EngineFacts(n, n, n, x, n, can_preserve=True, can_swap=True, seats=n)
    return snapshot(facts, EngineLoad(n, n, n, n, n), Costs(x, x, x, x), x * x, x, n, n, n, n)


# --- functions and units ---------------------------------------------------------------------------


def functions() -> str:
    """The built-in functions."""
    return table(("function", "gives"), ((f"`{b.signature}`", b.doc) for b in BUILTINS.values()))


def prelude() -> str:
    """The functions of the prelude, each with its comment and its text."""
    loaded = load_text('lamps 1\npolicy p "P."\n')
    made = []
    for known in loaded.definitions.values():
        if known.prelude and isinstance(known.syntax, LetStatement):
            doc = re.sub(r"\.$", "", comments_of(known.syntax))
            span = known.syntax.span
            written = " ".join(span.source.text.split("\n")[span.line - 1 : span.end_line]).partition(" = ")[2]
            made.append((f"`{signature(known.syntax)}`", doc, f"`{written}`"))
    return table(("function", "meaning", "is written as"), made)


def units() -> str:
    """The suffixes of quantities."""
    rows = []
    for suffix, (dim, size) in SUFFIXES.items():
        base = "plain number" if dim == NUMBER else str(dim)
        rows.append((f"`5{suffix}`", base, f"{5 * size:,.10g}"))
    return table(("literal", "is", "in base units"), rows)


def types() -> str:
    """The names of types that an argument of a function may have."""
    return ", ".join(f"`{name}`" for name in NAMED)


def limits() -> str:
    """What can be limited."""
    rows = []
    for info in LIMITS.values():
        unit = "tokens" if info.unit != NUMBER else "requests"
        done = "yes" if f"limit {info.name}" in CARRIED_OUT else "**no**"
        rows.append((f"`{info.name}`", info.doc, f"`{info.total}`", unit, done))
    return table(("limit", "counts", "100% is", "otherwise in", "carried out"), rows)


# --- statements ------------------------------------------------------------------------------------


def statements() -> str:
    """Every statement in a line."""
    rows = ((f"[`{word}`](#{word.replace(' ', '-')})", known.doc) for word, known in STATEMENTS.items())
    return table(("statement", "what it does"), rows)


def carried(word: str) -> str:
    """Whether the adapter carries a statement out."""
    if word in CARRIED_OUT:
        return "*Carried out by this release's engine adapter.*"
    return (
        "*Not carried out yet: the statement is checked and linted, but `lamps serve` refuses a policy that has it, "
        "and says so.*"
    )


def time() -> str:
    """What `at` does: asked of the test runner."""
    loaded = load_text(
        'lamps 1\npolicy p "P."\non call preserve for 5s then discard\n'
        'test "t" { session s { call.duration: 9s } at 6s expect s paused discard }\n'
    )
    if all(result.passed for result in run_tests(loaded)):
        return (
            "`at` lets time pass: waits, ages and calls grow, `while paused` and `promote` act ([below](#time)). No "
            "engine runs."
        )
    return "*Time does not pass in this version: a test with `at` is checked, but fails, and says so.*"


# --- findings --------------------------------------------------------------------------------------


def codes() -> str:
    """What the checker can find."""
    return table(("code", "what is wrong"), ((f"`{code}`", title) for code, title in TITLES.items()))


def rules() -> str:
    """The rules of lint in a table."""
    rows = []
    for entry in registry.entries().values():
        rule = entry.load()
        first = rule.page().split("\n\n")[1].replace("\n", " ")
        rows.append((f"[`{entry.code}`](#{entry.name}-{entry.code.lower()})", entry.name, rule.severity.value, first))
    return table(("code", "name", "severity", "reports"), rows)


def pages() -> str:
    """The page of every rule, its headings two levels deeper, its examples as fragments."""
    made = []
    for entry in registry.entries().values():
        page = re.sub(r"^#", "##", entry.load().page(), flags=re.MULTILINE)
        page = re.sub(r"^### (Why|Avoid|Prefer)$", r"**\1**", page, flags=re.MULTILINE)
        made.append(_fragments(page))
    return "\n\n".join(made)


def _fragments(page: str) -> str:
    """Examples of rules are parts of policies; `#` in their comments is no heading."""
    parts = re.split(r"(^```lamps\n.*?^```$)", page, flags=re.MULTILINE | re.DOTALL)
    return "".join(re.sub(r"^##", "#", p.replace("```lamps", "```lamps fragment", 1), flags=re.MULTILINE)
                   if p.startswith("```lamps") else p for p in parts)  # fmt: skip


def exits() -> str:
    """The exit statuses, with their docstrings."""
    said = _exit_docs()
    return table(("status", "name", "meaning"), ((str(int(e)), e.name, said[e.name]) for e in ExitCode))


def _exit_docs() -> dict[str, str]:
    """The text behind each member in the source; enums keep no docstrings of their members."""
    import inspect

    source = inspect.getsource(ExitCode)
    found = dict.fromkeys((e.name for e in ExitCode), "All is well.")
    for name, doc in re.findall(r'^    ([A-Z_]+) = \d+\n    """(.*?)"""', source, re.MULTILINE | re.DOTALL):
        found[name] = " ".join(doc.split())
    return found


# --- metrics ---------------------------------------------------------------------------------------


def metrics() -> str:
    """What a server adds to /metrics."""
    up, sent = (
        (f"`{UP[0]}`", "gauge", "", UP[1]),
        (f"`{DELIVERIES[0]}`", "counter", "api_server, result", DELIVERIES[1]),
    )
    rows = ((f"`{m.name}`", m.kind, ", ".join(("engine", *m.labels)), m.help) for m in METRICS)
    return table(("metric", "kind", "labels", "meaning"), (up, *rows, sent))


# --- what was measured ------------------------------------------------------------------------------


def results(what: str) -> str:
    """Tables and plots of docs/results.md, from benchmarks/results/real.json and verdict.json."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ stands beside us and is not installed
    from benchmarks.real import plots, tables

    word, _, name = what.partition(" ")
    if word == "plot":
        return plots.shown(name)
    return tables.verdict() if what == "verdict" else tables.made(what)


def reproduction(what: str) -> str:
    """Tables and plots of docs/reproduction.md, from benchmarks/results/reproduction.jsonl."""
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ stands beside us and is not installed
    from benchmarks.reproduction import plots, tables

    word, _, name = what.partition(" ")
    if word == "plot":
        return plots.shown(name)
    match what:
        case "systems":
            return tables.systems()
        case "rates":
            return tables.rates()
        case "claims":
            return tables.claims()
        case _:
            return tables.made(what)


# --- releases of vLLM ------------------------------------------------------------------------------


def compatibility() -> str:
    """What `make compat` has found of each release."""
    found = json.loads((Path(__file__).parents[1] / "requirements" / "compatibility.json").read_text(encoding="utf-8"))
    return table(("release", "torch", "beside it", "names that are missing", "tests"), map(_release, found))


def _release(seen: Mapping[str, Any]) -> tuple[str, ...]:
    lacking, failed = seen["lacking"], seen["failed"]
    if seen["tests"] is None:
        tests = "not run"
    elif failed:
        tests = f"{len(failed)} of {seen['tests']} failed"
    else:
        tests = f"{seen['tests']} passed"
    names = "; ".join(f"`{line.partition(':')[0]}`" for line in lacking) or "none"
    beside = ", ".join(one for one in seen["beside"]) or "nothing"
    return f"{seen['distribution']} {seen['release']}", seen["torch"], beside, names, tests


# --- clients ---------------------------------------------------------------------------------------


def clients(what: str) -> str:
    """What `make clients` has found of each client: what is `sent`, what is `seen`; the benchmark of `replicas`."""
    if what == "replicas":
        return clients_page.replicas()
    return table(*getattr(clients_page, what)())


# --- fidelity --------------------------------------------------------------------------------------


def fidelity(what: str) -> str:
    """Tables of docs/fidelity.md, from benchmarks/results/fidelity.json."""
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ stands beside us and is not installed
    from benchmarks.fidelity import tables

    return tables.made(what)
