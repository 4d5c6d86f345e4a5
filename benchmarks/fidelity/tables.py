"""The tables of docs/fidelity.md, from benchmarks/results/fidelity.json and the profile beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.fidelity.cases import FIDELITY, METRICS, PROFILE
from engine_adapter.virtual.profile import load_profile

GOALS = {"end_to_end_s.mean": 0.06, "end_to_end_s.p99": 0.10, "ttft_turn_s.mean": 0.15}
_TITLES = {
    "end_to_end_s.mean": "session, mean", "end_to_end_s.p50": "p50", "end_to_end_s.p99": "p99",
    "without_tools_s.mean": "without its tools, mean", "ttft_turn_s.mean": "first token, mean",
    "ttft_turn_s.p50": "p50", "ttft_turn_s.p99": "p99", "output_tokens_per_s": "tokens/s",
}  # fmt: skip


def made(what: str) -> str:
    """The table that *what* names."""
    found = json.loads(FIDELITY.read_text(encoding="utf-8"))
    tables: dict[str, Callable[[dict[str, Any]], str]] = {
        "errors": _errors, "apart": _apart, "goals": _goals, "profile": _profile
    }  # fmt: skip
    return tables[what](found)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *map(list, rows)])


def _errors(found: dict[str, Any]) -> str:
    rows = (
        [one["case"], one["policy"], *(f"{_number(one['real'][name])} ({one['error'][name]:+.0%})" for name in METRICS)]
        for one in found["errors"]
    )
    return _table(["load", "policy", *(_TITLES[name] for name in METRICS)], rows)


def _apart(found: dict[str, Any]) -> str:
    """How far apart the real runs of one policy are: the largest less the smallest, as a share of their mean."""
    rows = (
        [one["case"], one["policy"], str(one["runs"]), *(f"{one['apart'][name]:.0%}" for name in METRICS)]
        for one in found["errors"]
    )
    return _table(["load", "policy", "runs", *(_TITLES[name] for name in METRICS)], rows)


def _goals(found: dict[str, Any]) -> str:
    rows = (
        [one["case"], one["policy"], *(_met(one["error"][name], goal) for name, goal in GOALS.items())]
        for one in found["errors"]
    )
    titles = ("session, mean: 6 %", "session, p99: 10 %", "first token, mean: 15 %")
    return _table(["load", "policy", *titles], rows)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _met(error: float, goal: float) -> str:
    return f"{error:+.1%}" + ("" if abs(error) <= goal else ", **missed**")


def _profile(found: dict[str, Any]) -> str:
    profile = load_profile(PROFILE)
    assert profile.fit is not None
    terms = {name: value for name, value in profile.step.model_dump().items() if value}
    terms |= {"overhead_s": profile.overhead_s, "overhead_token_s": profile.overhead_token_s}
    costs = _table(["term", "us"], ([f"`{name}`", f"{1e6 * value:.3g}"] for name, value in terms.items()))
    kinds = _table(
        ["steps", "judged by", "error p50", "p90", "of all together"],
        (
            [kind, f"{q.steps:,}", f"{q.error_p50:.1%}", f"{q.error_p90:.1%}", f"{q.sum_error:+.1%}"]
            for kind, q in profile.fit.kinds.items()
        ),
    )
    return f"{costs}\n\n{kinds}\n\nR² {profile.fit.r2:.3f}, {profile.fit.steps:,} steps, on {found['machine']}."
