"""`lamps explain`: why a request stands where it does, by a policy and a saved state, or in a running server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, write, write_json
from lamps_cli.writing import save as write_file

if TYPE_CHECKING:
    from policy_dsl.explain import Explanation
    from policy_dsl.loading import Loaded
    from policy_dsl.situation import Situation

STDIN = "-"
LARGEST = 50_000_000  # bytes of a state
_STATES = (".json", ".yaml", ".yml")


@click.command()
@click.argument("policy", metavar="[POLICY]", required=False)
@click.argument("state", metavar="[STATE]", required=False)
@click.option("--test", "test", metavar="NAME", help="Explain what this test of the policy gives.")
@click.option("--url", metavar="URL", help="Explain what is in the server at URL now.")
@click.option("--api-key", help="The server's key.  [default: LAMPS_API_KEY, then VLLM_API_KEY]")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, help="Longest wait, in s."
)
@click.option("--engine", type=click.IntRange(0), help="Which engine of the server, from 0, where it has several.")
@click.option("--save", type=click.Path(dir_okay=False), help="Write what the server gave to this file, as a state.")
@click.option(
    "--request", "requests", metavar="NAME", multiple=True,
    help="Only this one: a name, the beginning of an id, or a session. May be repeated.",
)  # fmt: skip
@click.option("--depth", type=click.IntRange(0), default=4, show_default=True, help="Levels of a tree that are shown.")
@click.option("--json", "as_json", is_flag=True, help="The whole trees, as JSON.")
def explain(
    policy: str | None,
    state: str | None,
    test: str | None,
    url: str | None,
    api_key: str | None,
    timeout: float,
    engine: int | None,
    save: str | None,
    requests: tuple[str, ...],
    depth: int,
    as_json: bool,
) -> None:
    """Explain why requests wait, run or are paused as they do.

    Each rank as a tree against the request just ahead, and what would have to change; what a gate or a promotion
    lacks; why a paused session's KV cache was kept or not, and what would be decided now.

    POLICY is a file or a shipped policy. With --url it may be left out: then it is the server's own. STATE is a file
    in YAML or JSON (- for standard input). One that --save wrote brings its policy: lamps explain state.json

    \b
    engine:   {engine.running_tokens: 40000tok}
    params:   {patience: 2s}
    requests:
      a: {request.context: 300tok, predict.output: {p50: 80tok, p90: 300tok}}
      b: {request.context: 900tok, request.waited: 3s, held_by: seats}
    running:
      c: {request.context: 500tok}
    paused:
      s: {call.tool: search, call.elapsed: 3s, handling: preserve}

    Numbers without a unit are in tokens, seconds, ... What isn't given is derived or has the default of tests.
    held_by passes on what holds a request that the policy doesn't: behind NAME, gate, limit NAME, kv, seats, token
    budget, reserved for NAME, loading, fault.
    """
    from lamps_cli.explain_view import as_document, show
    from policy_dsl.explain import explain as explained_by

    if state is None and policy is not None and url is None and test is None and policy.endswith(_STATES):
        policy, state = None, policy
    if [state, test, url].count(None) != 2:
        example = f'lamps explain {policy or "lamps"} --test "the name of a test"'
        raise Failure("give a state file, --test NAME or --url URL", example)
    if (save or engine is not None) and url is None:
        raise Failure("--save and --engine go with --url")
    document: object = None
    if url is not None:
        document = _live(url, api_key, timeout, engine, requests, save)
    elif state is not None:
        document = _document(state)
    loaded, own = _policy(policy, document)
    situation = _situation(loaded, _with_params(document) if own else document, test)
    explanation = explained_by(loaded, situation, _meant(requests, situation))
    if as_json:
        write_json(as_document(explanation))
    else:
        write(show(explanation, depth, float(situation.engine["engine.step_time"])))


def explained(document: dict[str, Any], name: str, depth: int = 4) -> str:
    """The explanation of *name* in a server's state *document*, by the policy that came with it; without colours.

    Failure as above."""
    from lamps_cli.explain_view import show

    explanation, step_s = _of_server(document, name)
    return click.unstyle(show(explanation, depth, step_s))


def decided(document: dict[str, Any], session: str, depth: int = 4) -> str:
    """What `on call` decided about a paused *session* of which *document* has no more than what was read then.

    Failure as above."""
    from lamps_cli.explain_view import show_decided

    explanation, _ = _of_server(document, session)
    return click.unstyle(show_decided(explanation.paused[0], depth))


def _of_server(document: dict[str, Any], name: str) -> tuple[Explanation, float]:
    """What the policy that came with *document* says of *name*, and how long a step of the engine takes, seconds."""
    from policy_dsl.explain import explain as explained_by

    loaded, _ = _policy(None, document)
    situation = _situation(loaded, _with_params(document), None)
    step_s = float(situation.engine["engine.step_time"])
    return explained_by(loaded, situation, _meant((name,), situation)), step_s


# --- a live server


def _live(
    url: str, key: str | None, timeout_s: float, engine: int | None, requests: tuple[str, ...], save: str | None
) -> object:
    """The state of one engine of the server, after it has been saved where that is asked for."""
    from engine_adapter.control.client import Unreachable, base_url, fetch_states, key_from_environment

    try:
        states = fetch_states(url, key or key_from_environment(), timeout_s, requests)
    except Unreachable as problem:
        raise Failure(str(problem), problem.hint, ExitCode.UNREACHABLE) from problem
    if engine is None:
        having = [n for n, one in enumerate(states) if len(states) == 1 or any(_has(one, name) for name in requests)]
        if len(having) != 1:
            raise Failure(
                f"{base_url(url)} has {len(states)} engines", f"choose one with --engine 0..{len(states) - 1}"
            )
        engine = having[0]
    if engine >= len(states):
        raise Failure(f"{base_url(url)} has no engine {engine}", f"it has {len(states)}, from 0")
    if save is not None:
        write_file(Path(save), json.dumps(states[engine], indent=1) + "\n")
        talk(f"wrote {save}")
    return states[engine]


def _has(state: dict[str, Any], name: str) -> bool:
    from engine_adapter.control.naming import means

    rows = {**state.get("requests", {}), **state.get("running", {})}
    return name in state.get("paused", {}) or any(means(name, i, str(row.get("session"))) for i, row in rows.items())


def _meant(names: tuple[str, ...], situation: Situation) -> list[str]:
    """The rows that *names* mean. Failure where one means none."""
    from engine_adapter.control.naming import means

    rows = [*situation.rows, *situation.running, *situation.paused]
    found = []
    for name in names:
        meant = [row for row in rows if row == name]
        meant = meant or [row for row in rows if means(name, row, situation.session_of.get(row, ""))]
        if not meant:
            known = ", ".join(rows[:8]) + (", ..." if len(rows) > 8 else "")
            raise Failure(f"there is no request {name}", f"there are {known}" if rows else "there are none")
        found += meant
    return found


# --- policy and state


def _policy(name: str | None, document: object) -> tuple[Loaded, bool]:
    """The policy *name*, or the one that a server saved with its state; whether it is the latter."""
    from lamps_cli.policy_files import checked

    if name is not None:
        return checked(name)[0], False
    from policy_dsl.diagnostics.full import render
    from policy_dsl.loading import load_text

    saved = document.get("policy") if isinstance(document, dict) else None
    text = saved.get("text") if isinstance(saved, dict) else None
    if not isinstance(text, str):
        raise Failure("this state brings no policy", "lamps explain POLICY STATE")
    loaded = load_text(text, f"<{saved.get('name', 'policy')}>" if isinstance(saved, dict) else "<policy>")
    if loaded.policy is None:
        shown = "\n\n".join(render(finding) for finding in loaded.diagnostics)
        raise Failure(f"the state's policy has errors for this version of lamps\n\n{shown}", code=ExitCode.FINDINGS)
    return loaded, True


def _with_params(document: object) -> object:
    """The state with the parameters that its own policy had."""
    assert isinstance(document, dict)
    return {**document, "params": {**document["policy"].get("params", {}), **document.get("params", {})}}


def _situation(loaded: Loaded, document: object, test: str | None) -> Situation:
    from policy_dsl.saved import of_document
    from policy_dsl.situation import StateError, of_test

    try:
        return of_document(loaded, document) if test is None else of_test(loaded, test)
    except StateError as problem:
        raise Failure(str(problem), problem.help) from None


def _document(name: str) -> object:
    """What the state file holds. What is not JSON is read as YAML."""

    import yaml

    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(LARGEST + 1)
    except OSError as problem:
        raise Failure(f"can't read {name}: {problem.strerror}") from None
    if len(data) > LARGEST:
        raise Failure(f"{name} is larger than {LARGEST // 1_000_000} MB")
    try:
        return json.loads(data)  # a hundred times as fast
    except (ValueError, RecursionError):
        pass
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as problem:
        said = " ".join(str(problem).split())
        raise Failure(f"{name} is neither YAML nor JSON: {said[:200]}") from None
