"""`lamps serve`: vLLM's OpenAI server, with its scheduling in the hands of a policy.

The policy is checked before vLLM is imported: a file with errors costs a tenth of a second, not half a minute.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from lamps_cli.chosen_policy import STOCK, chosen_policy
from lamps_cli.completing import policies
from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import warn


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True})
@click.option(
    "--policy",
    default="lamps",
    show_default=True,
    metavar="FILE|NAME",
    shell_complete=policies,
    help=f"A policy file, or the name of a shipped policy; `{STOCK}` for vLLM's own scheduler.",
)
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a param of the policy, as patience=5s; without a unit in seconds, tokens...",
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
    "--predictor",
    metavar="FILE|learned|online",
    help="What foretells lengths: a model of `lamps predictor train`, or what is learned online.  "
    "[default: the trained model if there is one]",
)
@click.option(
    "--profile",
    metavar="FILE|none",
    help="The profile that step costs begin with, of `lamps profile`.  [default: that of this engine if there is one]",
)
@click.option(
    "--swap-space",
    "swap_gib",
    type=click.FloatRange(min=0.0),
    default=0.0,
    metavar="GIB",
    help="Host memory of each engine for KV that the policy swaps.  [default: none, nothing is swapped]",
)
@click.option(
    "--decisions",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Log every decision to FILE: JSON lines without prompt text, 256 MiB at most for each engine.",
)
@click.option(
    "--record-steps",
    "record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For developers: record every step of the engine into a new file, which `lamps parity` replays. It will hold "
    "the token ids of ALL PROMPTS AND ANSWERS.",
)
@click.option("--watch", is_flag=True, help="Reload the policy when its file changes; one with errors changes nothing.")
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
    predictor: str | None,
    profile: str | None,
    swap_gib: float,
    decisions: Path | None,
    record: Path | None,
    watch: bool,
    vllm_help: str | None,
    vllm: tuple[str, ...],
) -> None:
    """Serve a model with vLLM, scheduled by a policy.

    Any flag of `vllm serve` may follow. The server speaks OpenAI's API under /v1; `lamps status` shows what its
    scheduler does. VLLM_LOGGING_LEVEL=INFO shows vLLM's own log.
    """
    from engine_adapter.vllm import launch
    from engine_adapter.vllm.plan import LaunchError, Plan, Watched

    if vllm_help:
        vllm = (f"--help={vllm_help}",)
    elif vllm and not vllm[0].startswith("-"):
        if model is not None:
            raise click.UsageError(f"two models: {vllm[0]} and --model {model}")
        model, vllm = vllm[0], vllm[1:]
    chosen = None if policy == STOCK else chosen_policy(policy, params, without="no server was started")
    store_path = _store_path(store, model or launch.DEFAULT_MODEL)
    if record is not None:
        record = _recording(record, policy)
    named = [word.partition("=")[0].strip() for word in params]
    watched = Watched({name: chosen.params[name] for name in named}) if watch and chosen is not None else None
    log = decisions and decisions.expanduser().resolve()
    trained = None if chosen is None else _predictor_path(predictor, record)
    costs = None if chosen is None else _profile(profile)
    plan = Plan(chosen, model, host, port, store_path, vllm, swap_gib, record, log, watched, trained, costs)
    try:
        launch.serve(plan)
    except LaunchError as problem:
        raise Failure(problem.message, problem.hint, ExitCode.FINDINGS) from problem


def _recording(record: Path, policy: str) -> Path:
    """Where the steps are recorded, after a warning. UsageError where nothing would be."""
    if policy == STOCK:
        raise click.UsageError(f"--record-steps records what a policy decides, and --policy {STOCK} is none")
    path = record.expanduser().resolve()
    warn(f"recording to {path}: the token ids of ALL PROMPTS AND ANSWERS. Keep it as private as they are.")
    return path


def _predictor_path(wanted: str | None, record: Path | None) -> Path | None:
    """The file of the trained model, None for what is learned online. Failure for one that was named and can't be used.

    Unasked, the default is taken where it is there, and the server does without where it is broken; not where steps are
    recorded: when a model answers isn't in a record, so it could not be replayed.
    """
    from engine_adapter.runtime.length_model import LengthModel, ModelError, default_path

    if wanted == "online" or (wanted is None and record is not None):
        return None
    path = default_path() if wanted in (None, "learned") else Path(str(wanted)).expanduser().resolve()
    if wanted is None:
        return path if path.exists() else None
    try:
        LengthModel.load(path)
    except ModelError as problem:
        raise Failure(
            f"{problem}; no server was started", "lamps predictor train TRACE, or --predictor online"
        ) from None
    return path


def _profile(wanted: str | None) -> str | None:
    """The file that was named, else that the kept one is wanted; None for none. Failure for what is no profile."""
    from engine_adapter.runtime.profiled import KEPT
    from engine_adapter.virtual.profile import ProfileError, load_profile

    if wanted is None:
        return KEPT
    if wanted == "none":
        return None
    path = Path(wanted).expanduser().resolve()
    try:
        load_profile(path)
    except ProfileError as problem:
        raise Failure(f"{problem}; no server was started", "lamps profile makes one") from None
    return str(path)


def _store_path(store: str | None, model: str) -> Path | None:
    """Where predictions are kept. Lengths depend on the model, so each has its own file."""
    if store == "none":
        return None
    if store is not None:
        return Path(store).expanduser().resolve()
    from engine_adapter.runtime.folders import cache_folder

    safe = re.sub(r"[^\w.-]+", "-", model).strip("-.") or "model"
    return cache_folder() / f"predictions-{safe}.sqlite"
