"""What the keys of the policy screen ask, and what they tell the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from textual.pilot import Pilot

from engine_adapter.control.changes import Answer, Policy, Standing, Trial
from engine_adapter.control.frames import VERSION, Compared, Frame, Guard, ParamInfo, PolicyInfo, Shadow
from tests.tui.conftest import Told, status
from tests.tui.screens import press, running, settle, text
from tui.app import Options
from tui.model import Delivery

ALL = ("off", "on", "reload", "params", "shadow")
POLICY = PolicyInfo(
    "mine", "0123456789ab", text="lamps 1\nrank request.arrival\n",
    params={"patience": 10.0, "share": 0.5},
    ranges={"patience": ParamInfo(10.0, 0.1, 3600.0, "seconds"), "share": ParamInfo(0.5, 0.0, 1.0, "1")},
)  # fmt: skip
ON = Answer(1, (Standing(Policy("mine", "r2"), "on", trial=Trial(waiting=12, compared=12, moved=3)),))


class Commands:
    """Remembers what is told, and answers as the test wants."""

    def __init__(self, answer: Answer | Exception = ON) -> None:
        self.told: list[tuple[str, str, dict[str, Any]]] = []
        self.answer = answer

    def tell(self, server: str, what: str, body: Mapping[str, Any]) -> Answer:
        self.told.append((server, what, dict(body)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def policy(self, name: str) -> Mapping[str, Any]:
        if name != "fcfs":
            raise ValueError(f"there is no file and no policy {name}\ndid you mean fcfs?")
        return {"text": "lamps 1", "path": "fcfs.lamps"}


def delivery(**fields: Any) -> Delivery:
    return Delivery(":8000", 1.0, status(Frame(VERSION, POLICY, **({"capabilities": ALL} | fields))))


def watching(commands: Commands | None, **fields: Any) -> Any:
    options = Options(view="policy")
    return running(Told([delivery(**fields)]), (100, 30), options, commands=commands)


async def answered(pilot: Pilot[Any], *keys: str) -> str:
    """The screen after *keys* and what their flows did."""
    await press(pilot, *keys)
    await pilot.pause(0.1)
    await settle(pilot)
    return text(pilot)


async def test_off_asks_and_is_not_done_by_enter_alone() -> None:
    commands = Commands(Answer(1, (Standing(Policy("mine", "r1"), "off"),)))
    async with watching(commands) as pilot:
        assert "Set the policy mine aside on :8000?" in await answered(pilot, "o")
        assert "Sure?" in await answered(pilot, "enter")
        await answered(pilot, "n")
        assert commands.told == [] and "Sure?" not in text(pilot)
        await answered(pilot, "o", "escape")
        assert commands.told == []
        assert "off: first come, first served" in await answered(pilot, "o", "y")
        assert commands.told == [(":8000", "off", {})]


@pytest.mark.parametrize("state", ["off", "ejected"])
async def test_the_same_key_puts_it_back(state: str) -> None:
    commands = Commands()
    async with watching(commands, guard=Guard(state, "told to", chosen="mine")) as pilot:
        assert "Put the policy mine back on :8000?" in await answered(pilot, "o")
        assert "on: policy mine, revision r2" in await answered(pilot, "y")
        assert commands.told == [(":8000", "on", {})]


async def test_params_are_set_within_their_range() -> None:
    commands = Commands()
    async with watching(commands) as pilot:
        shown = await answered(pilot, "m")
        assert "0.1..3600 seconds" in shown and "share" in shown
        shown = await answered(pilot, "end", "0", "0", "0", "enter")
        assert "patience: 10000 is not in 0.1..3600 seconds" in shown and commands.told == []
        await answered(pilot, "backspace", "backspace", "tab", "end", "1", "enter")
        assert commands.told == [(":8000", "params", {"params": ["patience=100", "share=0.51"]})]
        assert "tried on 12 waiting" in text(pilot)


async def test_params_left_as_they_are_tell_nobody() -> None:
    commands = Commands()
    async with watching(commands) as pilot:
        await answered(pilot, "m", "enter")
        await answered(pilot, "m", "end", "5", "escape")
        assert commands.told == []


async def test_another_policy_is_tried_before_it_is_put_in_force() -> None:
    commands = Commands()
    async with watching(commands) as pilot:
        assert "there is no file and no policy fx" in await answered(pilot, "l", "f", "x", "enter")
        shown = await answered(pilot, "backspace", "c", "f", "s", "enter")
        assert "3 of the first 12 places" in shown and "Put it in force on :8000?" in shown
        dry = {"text": "lamps 1", "path": "fcfs.lamps", "dry_run": True}
        assert commands.told == [(":8000", "reload", dry)]
        await answered(pilot, "n")
        assert len(commands.told) == 1
        await answered(pilot, "l", *"fcfs", "enter", "y")
        assert commands.told[2] == (":8000", "reload", {"text": "lamps 1", "path": "fcfs.lamps"})


async def test_a_refusal_is_told_in_full() -> None:
    commands = Commands(ValueError("nothing was changed: error[L001]: [wrong]\n  a second line"))
    async with watching(commands) as pilot:
        shown = await answered(pilot, "l", *"fcfs", "enter")
        assert "error[L001]: [wrong]" in shown and "a second line" in shown
        assert "Sure?" not in await answered(pilot, "escape")


async def test_a_policy_is_asked_beside_the_one_in_force_without_a_question() -> None:
    commands = Commands()
    async with watching(commands) as pilot:
        await answered(pilot, "w", *"fcfs", "enter")
        assert commands.told == [(":8000", "reload", {"text": "lamps 1", "path": "fcfs.lamps", "shadow": True})]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["d"], [(":8000", "shadow", {"drop": True})]),
        (["p", "n"], []),
        (["p", "y"], [(":8000", "shadow", {"promote": True})]),
        (["escape"], []),
    ],
)
async def test_a_shadow_is_dropped_or_put_in_force(keys: list[str], told: list[Any]) -> None:
    commands = Commands()
    async with watching(commands, shadow=Shadow("other", "r9", 200, 14, Compared(120, 9), Compared(80, 5), 2)) as pilot:
        assert "differs in 7.0% of 200 decisions: rank 9 of 120, on call 5 of 80; its rules failed 2" in " ".join(
            text(pilot).split()
        )
        assert "14 of 200 samples" in await answered(pilot, "w")
        for key in keys:
            await answered(pilot, key)
        assert commands.told == told


async def test_where_nothing_can_be_changed_that_is_said() -> None:
    async with watching(None) as pilot:
        for key in "mlwo":
            assert "nothing can be changed here" in await answered(pilot, key)
            assert len(pilot.app.screen_stack) == 1
    commands = Commands()
    async with watching(commands, capabilities=("off", "on")) as pilot:
        assert ":8000 takes no commands of this kind" in await answered(pilot, "m")
    source = Told([delivery(), Delivery(":8000", 2.0, trouble="nothing answers")])
    async with running(source, (100, 30), Options(view="policy"), commands=commands) as pilot:
        assert "no server answers" in await answered(pilot, "o")
    assert commands.told == []


async def test_the_keys_are_those_of_the_policy_screen_only() -> None:
    commands = Commands()
    async with running(Told([delivery()]), (100, 30), commands=commands) as pilot:
        await answered(pilot, "o", "y")
        assert commands.told == [] and len(pilot.app.screen_stack) == 1
        await pilot.app.action_change("off")  # type: ignore[attr-defined]
        assert "Sure?" in await answered(pilot)
