"""The profile that an engine's cost model starts from: which file, and whether it is of this engine.

`lamps profile` keeps one for each engine that it has measured, under a name made of what the engine's times depend on.
A profile of another engine is never used unless somebody has named it, and then not without saying so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine_adapter.runtime.costs import Coefficients, CostModel
from engine_adapter.virtual.profile import Profile, ProfileError, load_profile
from engine_adapter.virtual.provenance import Identity

KEPT = "kept"
"""Instead of a file: the one that is kept for this engine, if there is one."""


@dataclass(frozen=True, slots=True)
class Start:
    """*profile*: None where none is used. *said*: a sentence about it, "" where there is nothing to say. *odd*: the
    sentence is one to worry about."""

    profile: Profile | None = None
    said: str = ""
    odd: bool = False

    def begin(self, costs: CostModel) -> None:
        """Let *costs* start from the profile, if there is one."""
        if self.profile is not None:
            costs.start_from(coefficients(self.profile), self.profile.swap_token_s)


def start(wanted: str, words: Mapping[str, str]) -> Start:
    """What an engine begins with. *wanted*: a file, or KEPT; *words*: its identity. Never raises."""
    mine = Identity(**words)
    path = str(mine.kept_at()) if wanted == KEPT else wanted
    if wanted == KEPT and not mine.kept_at().exists():
        return Start()
    try:
        profile = load_profile(path)
    except ProfileError as problem:
        return Start(None, f"no profile is used: {problem}", odd=True)
    others = mine.differing(profile.engine) if profile.engine is not None else ["it doesn't say of which"]
    if not others:
        return Start(profile, f"step costs begin with the profile {profile.name}")
    why = "; ".join(others)
    if wanted == KEPT:
        return Start(None, f"the profile {path} isn't used, it is of another engine ({why})", odd=True)
    return Start(profile, f"step costs begin with the profile {profile.name}, of ANOTHER engine ({why})", odd=True)


def coefficients(profile: Profile) -> Coefficients:
    """A profile's step times as the cost model has them. A floor counts as part of every step."""
    step = profile.step
    return Coefficients(
        base_s=step.step_s + step.floor_s,
        prefill_s=step.token_s + step.prefill_token_s,
        prefill_context_s=step.prefill_context_s,
        decode_s=step.decode_seq_s,
        context_s=step.context_token_s,
        request_s=step.prefill_seq_s,
    )
