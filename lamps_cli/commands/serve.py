"""`lamps serve`: vLLM's OpenAI server, with its scheduling in the hands of a policy.

The policy is checked before vLLM is imported: a file with errors costs a tenth of a second, not half a minute.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour

if TYPE_CHECKING:
    from engine_adapter.vllm.launch import Policy

STOCK = "stock"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True})
@click.option(
    "--policy",
    default="lamps",
    show_default=True,
    metavar="FILE|NAME",
    help=f"A policy file, or the name of a shipped policy; `{STOCK}` for vLLM's own scheduler.",
)
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="Set a param of the policy, in its own unit."
)
@click.option(
    "--model",
    metavar="FOLDER|NAME",
    help="What to serve: a folder, a name on the hub, or an embedded model: smollm2, random.  [default: smollm2]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 for all networks.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option(
    "--store",
    metavar="FILE|none",
    help="Keeps what is learned about tools and lengths.  [default: a file for each model, in the cache]",
)
@click.option(
    "--vllm-help", is_flag=False, flag_value="listgroup", metavar="TOPIC", help="Print vLLM's flags and stop."
)
@click.argument("vllm", nargs=-1, type=click.UNPROCESSED, metavar="[MODEL] [VLLM FLAGS]")
def serve(
    policy: str,
    params: tuple[str, ...],
    model: str | None,
    host: str,
    port: int,
    store: str | None,
    vllm_help: str | None,
    vllm: tuple[str, ...],
) -> None:
    """Serve a model with vLLM, scheduled by a policy.

    Any flag of `vllm serve` may follow. The server speaks OpenAI's API under /v1; `lamps status` shows what its
    scheduler does. VLLM_LOGGING_LEVEL=INFO shows vLLM's own log.
    """
    from engine_adapter.vllm import launch

    if vllm_help:
        vllm = (f"--help={vllm_help}",)
    elif vllm and not vllm[0].startswith("-"):
        if model is not None:
            raise click.UsageError(f"two models: {vllm[0]} and --model {model}")
        model, vllm = vllm[0], vllm[1:]
    chosen = None if policy == STOCK else check_policy(policy, params)
    plan = launch.Plan(chosen, model, host, port, _store_path(store, model or launch.DEFAULT_MODEL), vllm)
    try:
        launch.serve(plan)
    except launch.LaunchError as problem:
        raise Failure(problem.message, problem.hint, ExitCode.FINDINGS) from problem


def check_policy(name: str, params: tuple[str, ...]) -> Policy:
    """The policy *name* (a file or a shipped one), compiled once to be sure of it. Failure with all its errors."""
    import policies
    from engine_adapter.runtime.activation import not_carried_out
    from engine_adapter.vllm.launch import Policy
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
        raise Failure(f"{name} has errors, so no server was started", code=ExitCode.FINDINGS)
    try:
        compiled = compile_policy(loaded.policy, loaded.source, param_values(params))
    except ParamError as problem:
        raise Failure(str(problem)) from problem
    problem_ahead = not_carried_out(compiled)
    if problem_ahead:
        raise Failure(f"{name}: {problem_ahead}", code=ExitCode.FINDINGS)
    return Policy(Path(path).resolve(), compiled.name, compiled.revision, compiled.params)


def param_values(params: tuple[str, ...]) -> dict[str, float]:
    """The numbers of `NAME=VALUE` words, by name. Failure for a word that isn't one."""
    values = {}
    for param in params:
        name, _, text = param.partition("=")
        try:
            values[name.strip()] = float(text)
        except ValueError:
            raise Failure(f"--param {param}: NAME=VALUE with a number is wanted, as in --param patience=50") from None
    return values


def _store_path(store: str | None, model: str) -> Path | None:
    """Where predictions are kept. Lengths depend on the model, so each has its own file."""
    if store == "none":
        return None
    if store is not None:
        return Path(store).expanduser().resolve()
    from engine_adapter.vllm.models import cache_folder

    safe = re.sub(r"[^\w.-]+", "-", model).strip("-.") or "model"
    return cache_folder() / f"predictions-{safe}.sqlite"
