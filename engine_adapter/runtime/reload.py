"""Another policy for a running engine: compiled and tried on what waits now, then put in force between two steps.

In three commands, so that a server of several engines takes a policy everywhere or nowhere, and none of them stands
still: `compile` begins to compile a text beside the engine, and asked again tells whether that has ended; `prepare`
changes nothing and tells what the policy would do; `commit` puts the prepared one in force, or beside the one in force
as a shadow. A `prepare` of a text that nobody has had compiled compiles it first.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from engine_adapter.runtime import shadow as shadows
from engine_adapter.runtime.classes import as_classed_by
from engine_adapter.runtime.compiling import Compiling
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.deciding import Deciding, as_decided_by
from engine_adapter.runtime.guard import Guard
from engine_adapter.runtime.in_force import OFF, TRIAL_S
from engine_adapter.runtime.rows import tabled
from engine_adapter.runtime.watch import Watch
from policy_dsl.compiled import CompiledPolicy, ParamError
from policy_dsl.param_words import param_values

logger = logging.getLogger("lamps")

# Places and paused sessions that a trial compares: one asking takes 15 to 18 us (benchmarks/paused.py).
COMPARED = 64


class Refused(Exception):
    """The policy can't be taken; the message says why."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a policy would do with what waits and is paused now. *moved*: of the first *compared* places, those that
    another request takes. *differing*: of the *asked* paused sessions, those that another handling is chosen for.

    *nans*: waiting requests whose rank is not a number. *rank_s*: time of one ranking of all.
    """

    waiting: int
    compared: int
    moved: int
    nans: int
    rank_s: float
    asked: int
    differing: int
    first: Sequence[str] = field(default_factory=tuple)

    def document(self) -> dict[str, Any]:
        """JSON-ready, in the words of `control.changes.Trial`."""
        return {name: getattr(self, name) for name in self.__slots__}


class Reloading:
    """The changes of policy of one engine, as commands: `answer`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._prepared: CompiledPolicy | None = None
        self._compiling: Compiling | None = None

    @property
    def pending(self) -> str:
        """The path of the policy that is being compiled; "" where none is."""
        compiling = self._compiling
        return compiling.path if compiling is not None and compiling.is_pending else ""

    def answer(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a command. A refusal is {"refused": why}; ValueError for a command that there isn't."""
        try:
            return self._answer(name, payload)
        except (Refused, ParamError) as refusal:
            return {"refused": str(refusal)}

    def _answer(self, name: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        in_force = self._runtime.in_force
        match name:
            case "off":
                in_force.turn_off()
            case "on":
                self._carefully(in_force.turn_on)
            case "compile":
                return {"pending": self._compile(payload).is_pending}
            case "prepare":
                return self._prepare(payload)
            case "commit":
                self._commit(payload)
            case "drop-shadow":
                shadows.end(self._runtime)
            case _:
                raise ValueError(f"unknown command {name!r}")
        return self.standing()

    def standing(self) -> dict[str, Any]:
        """Who decides, in the words of `control.changes.Standing`."""
        runtime, shadow = self._runtime, self._runtime.shadow
        return {
            "state": runtime.in_force.state,
            "reason": runtime.in_force.reason,
            "policy": described(runtime.in_force.chosen),
            "shadow": None if shadow is None else described(shadow.policy),
        }

    def _compile(self, payload: Mapping[str, Any]) -> Compiling:
        """The text of *payload* on its way; what was on its way before is forgotten where it was another."""
        what = payload["text"], payload.get("path", "<sent>"), payload.get("params", ())
        if self._compiling is None or not self._compiling.is_of(*what):
            self._compiling = Compiling(*what)
        return self._compiling

    def _prepare(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        words = payload.get("params", ())
        if "text" in payload:
            compiling, self._compiling = self._compile(payload), None
            try:
                policy = compiling.policy()
            except ValueError as problem:
                raise Refused(str(problem)) from problem
        elif payload.get("promote"):
            if self._runtime.shadow is None:
                raise Refused("there is no shadow policy to promote")
            policy = self._runtime.shadow.policy
        else:
            chosen = self._runtime.in_force.chosen
            policy = chosen.with_params(param_values(words, chosen.param_infos))
        trial = tried(self._runtime, policy)
        self._prepared = policy
        return {"policy": described(policy), "trial": trial.document()}

    def _commit(self, payload: Mapping[str, Any]) -> None:
        policy = self._prepared
        if policy is None or policy.revision != payload["revision"]:
            raise Refused("another policy was prepared in the meantime")
        self._prepared = None
        if payload.get("shadow"):
            shadows.begin(policy, self._runtime)
            return
        trial_s = float(payload.get("trial_s", TRIAL_S))
        self._carefully(lambda: self._runtime.in_force.replace(policy, trial_s))
        shadow = self._runtime.shadow
        if shadow is not None and shadow.policy.revision == policy.revision and self._runtime.in_force.state != OFF:
            shadows.end(self._runtime)

    def _carefully(self, change: Callable[[], None]) -> None:
        try:
            change()
        except Exception as problem:
            logger.exception("lamps: a policy could not be put in force")
            raise Refused(f"a rule of the policy raised {type(problem).__name__}: {problem}") from problem


def described(policy: CompiledPolicy) -> dict[str, Any]:
    """Name, revision and params."""
    return {"name": policy.name, "revision": policy.revision, "params": dict(policy.params)}


def tried(runtime: Runtime, policy: CompiledPolicy) -> Trial:
    """What *policy* would do now. Changes nothing. `Refused` when one of its rules raises."""
    waiting = runtime.waiting.turns()
    present = [*waiting, *(paused.turn for paused in runtime.calls.paused.values())]
    first = runtime.first(min(COMPARED, len(waiting)))
    judged = [turn for turn in present[len(waiting) :] if turn.call is not None][:COMPARED]
    before = [runtime.deciding.asked_now(turn) for turn in judged]
    now, engine = runtime.engine.clock(), runtime.engine_now()
    try:
        new = asking(runtime, policy)
        with as_classed_by(policy, present, now), as_decided_by(new, waiting):
            table = tabled(policy, waiting, now, runtime.step)
            began = perf_counter()
            order = table.first(len(waiting), engine, now, runtime.step)
            rank_s = perf_counter() - began
            after = [new.answer_now(turn) for turn in judged]
    except Exception as problem:
        raise Refused(f"tried on what waits now, a rule raised {type(problem).__name__}: {problem}") from problem
    return Trial(
        waiting=len(waiting),
        compared=len(first),
        moved=sum(a != b for a, b in zip(first, order, strict=False)),
        nans=table.nan_rows,
        rank_s=rank_s,
        asked=len(judged),
        differing=sum(a is None or a.holds[0][0] is not b.holds[0][0] for a, b in zip(before, after, strict=True)),
        first=order[:8],
    )


def asking(runtime: Runtime, policy: CompiledPolicy) -> Deciding:
    """The rules of *policy* about calls in this engine, with an account of their own."""
    step = lambda: runtime.step  # noqa: E731
    return Deciding(policy, runtime.engine, runtime.engine_now, step, Counter(), Watch(), Guard(timed=False))
