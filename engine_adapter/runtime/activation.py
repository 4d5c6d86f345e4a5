"""From settings to a running `Runtime`: the policy is compiled, what was learned before is loaded."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import policies
from engine_adapter.control import decision_log
from engine_adapter.runtime import store as store_module
from engine_adapter.runtime.core import Runtime
from engine_adapter.runtime.costs import CostModel
from engine_adapter.runtime.engine import Engine
from engine_adapter.runtime.foretelling import Foretelling
from engine_adapter.runtime.length_model import LengthModel, ModelError
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.profiled import Start
from engine_adapter.runtime.store import Learned, Store
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.diagnostics.full import render
from policy_dsl.loading import load, load_text
from policy_dsl.param_words import param_values

# The statements of a policy that have an effect here; the others are refused, never ignored.
CARRIED_OUT = frozenset({
    "rank", "on call", "on call at arrival", "while paused", "yield", "victim", "admit", "promote", "class",
    "limit pinned", "limit pinned ... by", "limit CLASS.pinned", "limit CLASS.pinned ... by",
    "limit running", "limit running ... by", "limit CLASS.running", "limit CLASS.running ... by",
    "limit host", "limit host ... by", "limit swapping", "limit swapping ... by",
})  # fmt: skip

NO_PROFILE = Start()

logger = logging.getLogger("lamps")


@dataclass(frozen=True, slots=True)
class Settings:
    """`--additional-config '{"lamps": {...}}'`: *policy* is a path or the name of a shipped one.

    *store*: the file of what is learned; *decisions*: of the decision log. None: there is none.
    *record*: a new file for a record of all steps, which holds the token ids of all prompts and answers.
    *dumps*: the folder for what the engine held when a policy was ejected; None: in the cache folder.
    *predictor*: the file of a trained model of lengths; None: what is learned online foretells them.
    *profile*: the file of a profile that step costs start from, "kept" for the one that `lamps profile` has kept for
    this engine, None for none.
    """

    policy: str = "lamps"
    params: Mapping[str, float] = field(default_factory=dict)
    store: str | None = None
    decisions: str | None = None
    record: str | None = None
    dumps: str | None = None
    predictor: str | None = None
    profile: str | None = None

    @staticmethod
    def from_config(additional_config: object) -> Settings:
        """Settings out of vLLM's additional config. ValueError for keys that mean nothing."""
        given = additional_config.get("lamps", {}) if isinstance(additional_config, Mapping) else {}
        if not isinstance(given, Mapping):
            raise ValueError('additional_config["lamps"] must be an object')
        known = [setting.name for setting in fields(Settings)]
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f'additional_config["lamps"] has no setting {unknown[0]!r}: {", ".join(known)}')
        return Settings(**given)


def compiled(text: str, path: str, words: Sequence[str]) -> CompiledPolicy:
    """Compile the *text* of a policy. *words*: of its params, NAME=VALUE.

    ValueError as by `load_policy`, `ParamError` for a param that doesn't fit.
    """
    loaded = load_text(text, path)
    if loaded.policy is None:
        raise ValueError(f"policy {path} has errors\n\n" + "\n".join(render(d) for d in loaded.diagnostics))
    return _carried_out(compile_policy(loaded.policy, loaded.source, param_values(words, loaded.policy.params)), path)


def load_policy(name_or_path: str, params: Mapping[str, float]) -> CompiledPolicy:
    """Compile a policy file. ValueError with all its diagnostics when it has errors, or states what we can't do yet."""
    loaded = load(policies.find(name_or_path))
    if loaded.policy is None:
        raise ValueError(f"policy {name_or_path} has errors\n\n" + "\n".join(render(d) for d in loaded.diagnostics))
    return _carried_out(compile_policy(loaded.policy, loaded.source, params), name_or_path)


def _carried_out(policy: CompiledPolicy, path: str) -> CompiledPolicy:
    problem = not_carried_out(policy)
    if problem:
        raise ValueError(f"policy {path}: {problem}")
    return policy


def not_carried_out(policy: CompiledPolicy) -> str:
    """A sentence about the statements of *policy* that this adapter would ignore; "" when there is none."""
    beyond = [f"`{word}`" for word in policy.statements if _of_any_class(word) not in CARRIED_OUT]
    if not beyond:
        return ""
    named = beyond[0] if len(beyond) == 1 else ", ".join(beyond[:-1]) + " and " + beyond[-1]
    are, them = ("is", "it") if len(beyond) == 1 else ("are", "them")
    ours = f"this release's engine adapter doesn't carry {them} out yet"
    return f"{named} {are} understood by lint, test and explain, but {ours}"


def _of_any_class(words: str) -> str:
    """A statement's words, with CLASS for the name of one."""
    return re.sub(r"^limit \w+\.", "limit CLASS.", words)


def activate(settings: Settings, engine: Engine, engine_id: str, measured: Start = NO_PROFILE) -> Runtime:
    """A runtime with what earlier runs learned, and the step costs of a profile.

    A store that can't be read costs what was learned, nothing else.
    """
    policy = load_policy(settings.policy, settings.params)
    predictor, costs = Predictor(), CostModel()
    store = None
    if settings.store is not None:
        path = Path(settings.store)
        learned, warning = store_module.load(path, engine_id)
        if warning:
            logger.warning("lamps: %s", warning)
        predictor.merge(learned.state)
        if learned.costs:
            costs.resume(learned.costs)
        store = Store(path, engine_id, lambda: Learned(predictor.state(), costs.state()), _warn)
    measured.begin(costs)
    if measured.said:
        logger.log(logging.WARNING if measured.odd else logging.INFO, "lamps: %s", measured.said)
    logger.info("lamps: policy %s, revision %s", policy.name, policy.revision)
    runtime = Runtime(policy, engine, predictor, costs, store)
    runtime.profile = measured.said
    if settings.predictor is not None:
        _foretell(runtime, Path(settings.predictor))
    if settings.decisions is not None:
        file = decision_log.path_of(Path(settings.decisions), engine_id)
        log = decision_log.DecisionLog(file, engine_id, _warn, runtime.counters)
        runtime.watch.log_to(log, lambda: runtime.policy)
    return runtime


def _warn(sentence: str) -> None:
    logger.warning("lamps: %s", sentence)


def _foretell(runtime: Runtime, path: Path) -> None:
    """Let the model in *path* foretell lengths; one that can't be used costs its forecasts, nothing else."""
    try:
        model = LengthModel.load(path)
    except ModelError as problem:
        runtime.expecting.no_model = str(problem)
        runtime.counters["predictor.unusable"] += 1
        _warn(f"lengths are foretold by what is learned online: {problem}")
        return
    runtime.expecting.foretelling = Foretelling(model, runtime.engine.in_real_time, runtime.counters, _warn)
    logger.info("lamps: predictor %s, trained on %s", model.revision, model.about.source)
