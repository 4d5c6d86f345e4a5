"""What the monitor explains of a decision: what was decided then, from what was read then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

import policies
from engine_adapter.control.frames import Decision
from lamps_cli.watched import explain_decision
from tui.model import EngineView

READ: dict[str, float | bool | str | None] = {
    "call.context": 677.0, "call.duration": 0.0254, "cost.prefill": 4e-5, "cost.prefill_context": 0.0,
    "cost.swap": 5e-5, "engine.running_tokens": 40_420.0, "allow.preserve": True, "allow.swap": False,
}  # fmt: skip


LAMPS = policies.find("lamps").read_text()


def engine(text: str) -> EngineView:
    """An engine under the policy *text*, whose running requests are others by now."""
    frame = SimpleNamespace(
        policy=SimpleNamespace(name="lamps", text=text, params={}), engine={"engine.running_tokens": 5.0}
    )
    return cast(EngineView, SimpleNamespace(frame=frame))


def test_a_decision_about_a_call_is_explained_by_what_was_read_then() -> None:
    said = explain_decision(engine(LAMPS), Decision(1, 0.0, "call", "preserve", session="chat", values=READ))
    assert said.startswith("chat: paused, preserve\n  on call, as it was when the call began: preserve\n")
    assert "call.context = 677 tokens" in said and "busy = 40,420 tokens" in said


def test_nothing_is_said_of_what_is_not_known_of_the_session_now() -> None:
    """Its present row isn't there: `while paused`, `yield` and the class would be of a session of one token."""
    said = explain_decision(engine(LAMPS), Decision(1, 0.0, "call", "preserve", session="chat", values=READ))
    for word in ("while paused", "yields as", "asked now", "1 token", "class"):
        assert word not in said


def test_a_policy_that_can_not_be_read_is_a_sentence() -> None:
    broken = engine("lamps 1\npolicy lamps")
    with pytest.raises(ValueError, match="has errors"):
        explain_decision(broken, Decision(1, 0.0, "call", "preserve", session="chat", values=READ))
