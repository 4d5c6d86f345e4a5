"""`lamps explain`: why a request stands where it does, by a policy and a saved state."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lamps_cli.errors import Failure
from lamps_cli.output import write, write_json

if TYPE_CHECKING:
    from policy_dsl.loading import Loaded
    from policy_dsl.situation import Situation

STDIN = "-"
LARGEST = 10_000_000  # bytes of a state


@click.command()
@click.argument("policy", metavar="POLICY")
@click.argument("state", metavar="[STATE]", required=False)
@click.option("--test", "test", metavar="NAME", help="Explain what this test of the policy gives.")
@click.option("--request", "requests", metavar="NAME", multiple=True, help="Only this request; may be repeated.")
@click.option("--depth", type=click.IntRange(0), default=4, show_default=True, help="Levels of a tree that are shown.")
@click.option("--json", "as_json", is_flag=True, help="The whole trees, as JSON.")
def explain(
    policy: str, state: str | None, test: str | None, requests: tuple[str, ...], depth: int, as_json: bool
) -> None:
    """Explain the order of requests: each rank as a tree, against the request just ahead.

    POLICY is a file or a shipped policy. STATE is a file in YAML or JSON (- for standard input):

    \b
    engine:   {engine.running_tokens: 40000tok}
    params:   {patience: 2s}
    requests:
      a: {request.context: 300tok, predict.output: {p50: 80tok, p90: 300tok}}
      b: {request.context: 900tok, request.waited: 3s, held_by: seats}

    Numbers without a unit are in tokens, seconds, ... What isn't given is derived or has the default of tests.
    held_by passes on what holds a request that the policy doesn't: behind NAME, gate, limit NAME, kv, seats, token
    budget, reserved for NAME, loading, fault.
    """
    from lamps_cli.explain_view import as_document, show
    from lamps_cli.policy_files import checked
    from policy_dsl.explain import explain as explained_by
    from policy_dsl.places import Placing

    if (state is None) == (test is None):
        raise Failure("give a state file or --test NAME", f'lamps explain {policy} --test "the name of a test"')
    loaded, ir_policy, _ = checked(policy)
    situation = _situation(loaded, state, test)
    for name in requests:
        if name not in situation.rows:
            raise Failure(f"there is no request {name}", f"there are {', '.join(situation.rows)}")
    explained = explained_by(loaded, situation, requests)
    order = Placing(ir_policy, situation).order()
    if as_json:
        write_json(as_document(order, explained))
    else:
        write(show(order, explained, depth))


def _situation(loaded: Loaded, state: str | None, test: str | None) -> Situation:
    from policy_dsl.situation import StateError, of_document, of_test

    try:
        if test is not None:
            return of_test(loaded, test)
        assert state is not None
        return of_document(loaded, _document(state))
    except StateError as problem:
        raise Failure(str(problem), problem.help) from None


def _document(name: str) -> object:
    """What the state file holds. JSON is read as YAML, which it is a part of."""
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
        return yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as problem:
        said = " ".join(str(problem).split())
        raise Failure(f"{name} is neither YAML nor JSON: {said[:200]}") from None
