"""What the monitor asks of the servers that it watches, and tells them, beyond their frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lamps_cli.errors import Failure

if TYPE_CHECKING:
    from engine_adapter.control.frames import Decision
    from tui.commands import Commands
    from tui.model import EngineView


class Watched:
    """The servers at *urls*, by the names that the monitor gives them. *key*: of their API."""

    def __init__(self, urls: tuple[str, ...], key: str | None) -> None:
        from engine_adapter.control.client import DEFAULT_URL, key_from_environment
        from tui.sources.live import name_of

        self._urls = {name_of(url): url for url in urls or (DEFAULT_URL,)}
        self._key = key or key_from_environment()

    def explain(self, engine: EngineView, about: str | Decision) -> str:
        """A request or session, explained by the policy that runs there; a decision by what it was made from.
        ValueError with a sentence."""
        from engine_adapter.control.client import Unreachable, fetch_states
        from lamps_cli.commands.explain import explained

        if not isinstance(about, str):
            return explain_decision(engine, about)
        try:
            states = fetch_states(self._urls[engine.server], self._key, requests=(about,))
            return explained(states[engine.number], about)
        except (Unreachable, Failure) as problem:
            raise ValueError(str(problem)) from None

    def commands(self) -> Commands:
        """What tells them to change."""
        from tui.commands import Commands

        return Commands(self._urls, self._key, policy_to_send)


def explain_recorded(engine: EngineView, about: str | Decision) -> str:
    """What a recording alone can explain: decisions about calls, which brought their values. ValueError elsewhere."""
    if isinstance(about, str):
        raise ValueError("")  # the row's own detail is all that a recording has
    return explain_decision(engine, about)


def explain_decision(engine: EngineView, decision: Decision) -> str:
    """What was decided about a call, as a tree of the values that it was decided from. ValueError with a sentence."""
    from lamps_cli.commands.explain import decided

    policy = engine.frame.policy
    document = {
        "policy": {"name": policy.name, "text": policy.text, "params": policy.params},
        "engine": {name: "inf" if value is None else value for name, value in engine.frame.engine.items()},
        "paused": {decision.session: {"handling": decision.what, "decided": decision.values}},
    }
    try:
        return decided(document, decision.session)
    except Failure as problem:
        raise ValueError(problem.message) from None


def policy_to_send(name: str) -> Mapping[str, Any]:
    """The body of a reload for the policy *name*, a file or a shipped one. ValueError with all that is wrong."""
    from lamps_cli.policy_files import find, read
    from policy_dsl.diagnostics.full import render
    from policy_dsl.loading import sendable

    try:
        path = find(name)
        loaded = read(path)
    except Failure as problem:
        raise ValueError(f"{problem.message}\n{problem.hint}".strip()) from None
    if loaded.policy is None:
        raise ValueError("\n".join(render(finding) for finding in loaded.diagnostics))
    return {"text": sendable(path), "path": str(path)}
