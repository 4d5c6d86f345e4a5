"""What the keys of the policy screen do to a live server: each asks first, or shows what it would do, then tells it.

A flow is a coroutine that runs beside the app, so that frames go on while it waits for an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from engine_adapter.control.changes import OFF, ON, PARAMS, RELOAD, SHADOW, Answer, sentences
from engine_adapter.control.frames import ParamInfo
from tui.asking import AskParams, AskPolicy, Choose, Told

if TYPE_CHECKING:
    from tui.app import Top
    from tui.model import EngineView


async def off_or_on(app: Top) -> None:
    """Set the policy aside, or put it back."""
    if (engine := _told_of(app, OFF)) is None:
        return
    policy = engine.frame.guard.chosen or engine.frame.policy.name
    if engine.frame.guard.state in ("off", "ejected"):
        what, question = ON, f"Put the policy {policy} back on {engine.server}?"
    else:
        what = OFF
        question = (
            f"Set the policy {policy} aside on {engine.server}?\n\nFrom the next step on: first come, first served, "
            "and nothing is held for paused sessions. No request is lost; the same key puts it back."
        )
    if await _sure(app, question):
        await _tell(app, engine, what, {})


async def params(app: Top) -> None:
    """Other values for the policy's params."""
    if (engine := _told_of(app, PARAMS)) is None:
        return
    ranges: Mapping[str, ParamInfo] = engine.frame.policy.ranges
    if not ranges:
        app.notify(f"{engine.frame.policy.name} has no params")
        return
    words: list[str] | None = await app.push_screen_wait(AskParams(engine.frame.policy.name, ranges))
    if words:
        await _tell(app, engine, PARAMS, {"params": words})


async def another(app: Top) -> None:
    """Another policy: tried on what waits, shown what that would change, then put in force or not."""
    if (engine := _told_of(app, RELOAD)) is None:
        return
    if (body := await _asked_policy(app, engine, "Put another policy in force")) is None:
        return
    tried = await _answered(app, engine, RELOAD, {**body, "dry_run": True})
    if tried is not None and await _sure(
        app, "\n".join([*sentences(tried), "", f"Put it in force on {engine.server}?"])
    ):
        await _tell(app, engine, RELOAD, body)


async def shadow(app: Top) -> None:
    """A policy asked beside the one in force, without effect; one that is there is promoted, dropped or replaced."""
    if (engine := _told_of(app, SHADOW)) is None:
        return
    now, chosen = engine.frame.shadow, "another"
    if now is not None:
        differ = f"it would have decided {now.differing:,} of {now.compared:,} samples otherwise"
        question = f"{now.name}, revision {now.revision}, is asked beside {engine.frame.policy.name}: {differ}."
        answers = {"p": ("put it in force", "promote"), "d": ("drop it", "drop"), "a": ("ask another", "another")}
        chosen = await app.push_screen_wait(Choose("Shadow", question, answers))
    match chosen:
        case "promote":
            if now is not None and await _sure(app, f"Put {now.name} in force on {engine.server}?"):
                await _tell(app, engine, SHADOW, {"promote": True})
        case "drop":
            await _tell(app, engine, SHADOW, {"drop": True})
        case "another":
            body = await _asked_policy(app, engine, "Ask a policy beside the one in force")
            if body is not None:
                await _tell(app, engine, RELOAD, {**body, "shadow": True})


def _told_of(app: Top, what: str) -> EngineView | None:
    """The engine that is looked at, if its server can be told *what*; else that is said."""
    engine = app.moment.engines[app.moment.engine] if app.moment.engines else None
    problem = ""
    if app.commands is None:
        problem = "nothing can be changed here: this is a recording, or the monitor may only watch"
    elif engine is None or not app.moment.fresh:
        problem = "no server answers"
    elif what not in engine.frame.capabilities:
        problem = f"{engine.server} takes no commands of this kind"
    if problem:
        app.notify(problem, severity="warning")
        return None
    return engine


async def _asked_policy(app: Top, engine: EngineView, title: str) -> dict[str, Any] | None:
    """The body of a reload for the policy that somebody names; None where nobody does."""
    assert app.commands is not None
    return cast("dict[str, Any] | None", await app.push_screen_wait(AskPolicy(title, app.commands.policy)))


async def _sure(app: Top, question: str) -> bool:
    return bool(await app.push_screen_wait(Choose("Sure?", question, {"y": ("yes", "yes"), "n": ("no", "")})))


async def _answered(app: Top, engine: EngineView, what: str, body: Mapping[str, Any]) -> Answer | None:
    """The server's answer; None, after it has been said why, where there is none."""
    assert app.commands is not None
    try:
        return await asyncio.to_thread(app.commands.tell, engine.server, what, body)
    except ValueError as problem:
        await app.push_screen_wait(Told("Not done", str(problem)))
        return None


async def _tell(app: Top, engine: EngineView, what: str, body: Mapping[str, Any]) -> None:
    answer = await _answered(app, engine, what, body)
    if answer is not None:
        app.notify("\n".join(sentences(answer)), title=engine.server, timeout=8, markup=False)


FLOWS = {"params": params, "reload": another, "shadow": shadow, "off": off_or_on}
