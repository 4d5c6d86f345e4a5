"""A profile out of what was measured, as the YAML file that `lamps simulate` and `lamps serve` read."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from engine_adapter.control.steps import About
from engine_adapter.profiling.fit import Fitted
from engine_adapter.profiling.least_squares import non_negative
from engine_adapter.profiling.measure import Measured, Seen
from engine_adapter.virtual.profile import Profile
from engine_adapter.virtual.provenance import Identity

_DIGITS = 4  # of a measured number: the next ones differ from run to run
# A request takes longer than this to go over HTTP; less is the clocks' doing.
_SHORTEST_S = 1e-4


def profile_of(measured: Measured, fitted: Fitted, name: str, when: str) -> Profile:
    """The profile. *when*: the day it was measured."""
    about = measured.about
    overhead_s, overhead_token_s = overheads(measured.seen)
    swapped = measured.swapped
    given: dict[str, Any] = {
        "name": name,
        "title": f"{Path(about.identity['model']).name} on {about.identity['device']}, measured",
        "source": _source(measured, when),
        **_limits(about),
        "step": _rounded(fitted.times.model_dump()),
        "overhead_s": _round(overhead_s),
        "overhead_token_s": _round(overhead_token_s),
        "engine": Identity(**about.identity),
        "fit": _rounded(fitted.fit.model_dump()),
    }
    if swapped.tokens:
        given["swap_token_s"] = _round(swapped.seconds / swapped.tokens)
        given["host_bytes"] = swapped.host_tokens * about.token_bytes
    return Profile.model_validate(given)


def as_yaml(profile: Profile) -> str:
    """The file's text: terms that are 0 are left out."""
    document = profile.model_dump(mode="json", exclude_none=True)
    document["step"] = {term: seconds for term, seconds in document["step"].items() if seconds}
    source = textwrap.fill(document.pop("source"), 116, initial_indent="  ", subsequent_indent="  ")
    head = {key: document.pop(key) for key in ("name", "title")}
    return _dump(head) + f"source: >\n{source}\n" + _dump(document)


def overheads(seen: Sequence[Seen]) -> tuple[float, float]:
    """What a request takes in the server in front of the engine, and for each token of its prompt, seconds.

    From what clients waited beyond their requests' time in the engine, where they sent one request alone or all theirs
    at once: of n at once that are handled one after the other, the mean waits for (n + 1) / 2.
    """
    told = [one for one in seen if one.clients in (1, one.requests)]
    if not told:
        return 0.0, 0.0
    columns = np.array([((one.clients + 1) / 2, one.prompt * (one.clients + 1) / 2) for one in told])
    beyond = np.array([max(one.client_s - one.engine_s, 0.0) for one in told])
    base_s, token_s = non_negative(columns, beyond, 1.0 / np.maximum(beyond, _SHORTEST_S) ** 2).tolist()
    return base_s, token_s


def _limits(about: About) -> dict[str, Any]:
    return {
        "block_size": about.block_size,
        "token_bytes": max(about.token_bytes // 4, 1) * 4,
        "kv_blocks": about.kv_blocks,
        "max_num_seqs": about.max_num_seqs,
        "max_num_batched_tokens": max(about.max_num_batched_tokens, about.max_num_seqs),
        "max_model_len": about.max_model_len,
        "async_scheduling": about.async_scheduling,
    }


def _source(measured: Measured, when: str) -> str:
    cut = "" if measured.ended == "complete" else f" It is of a part of the load: {measured.ended}."
    swap = f" Swap wasn't measured: {measured.swapped.why_not}." if measured.swapped.why_not else ""
    return (
        f"Measured on {when} by `lamps profile`, under the policy {measured.policy}, in {measured.seconds:.0f} s:"
        f" {len(measured.steps):,} steps of {measured.done} of {measured.planned} phases of load. Step times are fitted"
        " by least squares of relative errors without negative terms; overhead is what clients waited beyond their"
        f" requests' time in the engine, requests being handled one after the other.{cut}{swap}"
    )


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _rounded(value: Any) -> Any:
    match value:
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case float():
            return _round(value)
        case _:
            return value


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=116)
