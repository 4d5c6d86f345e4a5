"""The policy that a command is to run, with the values given for its params: checked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour

if TYPE_CHECKING:
    from engine_adapter.vllm.plan import Policy
    from policy_dsl import ir

STOCK = "stock"
"""Stands where a policy's name may: vLLM's own scheduler."""


def chosen_policy(name: str, params: Sequence[str], without: str) -> Policy:
    """The policy *name* (a file or a shipped one), compiled once to be sure of it. Failure with all its errors.

    *params*: words NAME=VALUE. *without*: what a policy with errors means for the command, as "no server was started".
    """
    import policies
    from engine_adapter.runtime.activation import not_carried_out
    from engine_adapter.vllm.plan import Policy
    from policy_dsl.compiled import ParamError, compile_policy
    from policy_dsl.diagnostics.full import render
    from policy_dsl.loading import load

    try:
        path = policies.find(name)
        loaded = load(path)
    except policies.UnknownPolicy as problem:
        near = f"did you mean {' or '.join(problem.near)}?" if problem.near else ""
        shipped = f"shipped are {', '.join(policies.shipped())}, and `{STOCK}` for vLLM's own scheduler"
        raise Failure(str(problem), f"{near}\n{shipped}".strip()) from problem
    except OSError as problem:
        raise Failure(f"{name} can't be read: {problem.strerror}") from problem
    for diagnostic in loaded.diagnostics:
        talk(render(diagnostic, colour=wants_colour()))
    if loaded.policy is None:
        raise Failure(f"{name} has errors, so {without}", code=ExitCode.FINDINGS)
    try:
        compiled = compile_policy(loaded.policy, loaded.source, param_values(params, loaded.policy.params))
    except ParamError as problem:
        raise Failure(str(problem)) from problem
    problem_ahead = not_carried_out(compiled)
    if problem_ahead:
        raise Failure(f"{name}: {problem_ahead}", code=ExitCode.FINDINGS)
    return Policy(Path(path).resolve(), compiled.name, compiled.revision, compiled.params)


def param_values(params: Sequence[str], infos: Sequence[ir.ParamInfo]) -> dict[str, float]:
    """The numbers of the words NAME=VALUE in base units, by name. Failure for a word that isn't one."""
    from policy_dsl import param_words
    from policy_dsl.compiled import ParamError

    try:
        return param_words.param_values(params, infos)
    except ParamError as problem:
        raise Failure(f"--param {problem}") from None


def params_of_each(params: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """The words NAME=VALUE for each policy of *names*. POLICY.NAME=VALUE is for that one, NAME=VALUE for the first.

    A policy file is meant by its path or by its name without folder and `.lamps`.
    """
    found: dict[str, list[str]] = {name: [] for name in names}
    for param in params:
        left, equals, value = param.partition("=")
        owner, dot, name = left.strip().rpartition(".")
        if not dot:
            found[names[0]].append(param)
            continue
        meant = [known for known in names if known == owner] or [known for known in names if Path(known).stem == owner]
        if len(meant) != 1:
            which = "is two policies" if meant else "is no policy"
            raise Failure(f"--param {param}: {owner} {which} of this comparison", f"there are {', '.join(names)}")
        found[meant[0]].append(f"{name}{equals}{value}")
    return found
