"""The monitor against the real server under real traffic: what its screens show, and what its keys do there."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from textual.pilot import Pilot

from lamps_cli.watched import Watched
from tests.engine.server import FLAGS, KEY, WEATHER, Server, serving
from tests.tui.screens import line, press, running, text
from tui.app import Top
from tui.sources.live import Live

pytestmark = pytest.mark.server
SIZE = (120, 40)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One of its own: a frame lists fifty paused sessions, and those of other tests would be among them."""
    with serving(tmp_path_factory.mktemp("server") / "server.log", *FLAGS, key=KEY) as running_server:
        yield running_server


def ask(server: Server, n: int, max_tokens: int = 160) -> str:
    """A turn of about *max_tokens* tokens in a session of its own, with words in it that no monitor may show."""
    said = server.openai().chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": f"SECRET words {n}: count to a hundred."}],
        max_tokens=max_tokens, temperature=0, extra_headers={"X-Session-ID": f"watched-{n}"},
        extra_body={"ignore_eos": True},
    )  # fmt: skip
    return said.choices[0].message.content or ""


class Traffic:
    """More sessions at once than the memory holds, for as long as it isn't ended."""

    def __init__(self, server: Server, sessions: int = 40) -> None:
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(sessions)
        self._asking = [self._pool.submit(self._ask, server, n) for n in range(sessions)]

    def _ask(self, server: Server, session: int) -> int:
        answers = 0
        while not self._ended.is_set():
            assert ask(server, session)
            answers += 1
        return answers

    def end(self) -> int:
        """How many answers there were. Raises what a client raised."""
        self._ended.set()
        answers = sum(asking.result(240) for asking in self._asking)
        self._pool.shutdown()
        return answers


def call(server: Server) -> None:
    """A turn that ends in a call of get_weather, whose session stays paused."""
    server.openai().chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": "The weather in Paris?"}], tools=[WEATHER],
        tool_choice="required", max_tokens=48, temperature=0, extra_headers={"X-Session-ID": "watched-caller"},
    )  # fmt: skip


async def shows(pilot: Pilot[Any], pattern: str, limit_s: float = 60.0) -> str:
    """Wait until the screen has what *pattern* means; the screen."""
    end = asyncio.get_running_loop().time() + limit_s
    while not re.search(pattern, shown := text(pilot)):
        assert asyncio.get_running_loop().time() < end, f"{pattern!r} isn't shown:\n{shown}"
        await pilot.pause(0.05)
    assert "SECRET" not in shown
    return shown


async def test_the_monitor_shows_what_the_server_does(server: Server) -> None:
    watched = Watched((server.url,), KEY)
    source = Live([server.url], KEY, 0.25)
    traffic = Traffic(server)
    try:
        async with running(source, SIZE, explain=watched.explain, commands=watched.commands()) as pilot:
            await shows(pilot, r"running +[1-9]\d* peak")
            await shows(pilot, r"waiting +[1-9]\d* peak")  # the memory holds some of them only
            await shows(pilot, r"generated +[1-9][\d.,k]* tok/s")
            assert line(pilot, "lamps top").endswith("● live")
            await press(pilot, "2")
            await shows(pilot, r"Queue: \d+ wait")
            await shows(pilot, r" 1 (\S+ +)?watched-\d+")
            await press(pilot, "5")
            await shows(pilot, r"admit +admitted +watched-\d+")
            assert await asyncio.to_thread(traffic.end) > 0
            await press(pilot, "1")
            await shows(pilot, r"waiting +0 peak [1-9]")
            await asyncio.to_thread(call, server)
            await press(pilot, "3")
            await shows(pilot, r"watched-caller +get_weather")
            await press(pilot, "slash", *"caller", "enter", "enter")
            await shows(pilot, r"watched-caller: paused, ")  # the engine's own explanation
            await press(pilot, "escape", "5")
            await shows(pilot, r"call +(preserve|discard) +watched-caller +\d+ get_weather")
            await press(pilot, "4")
            await shows(pilot, r"[1-9]\d* +\d* +\d+ on call least")
    finally:
        traffic.end()


async def test_the_keys_of_the_policy_screen_change_the_server(server: Server) -> None:
    before = server.status().engines[0].policy
    watched = Watched((server.url,), KEY)
    async with running(Live([server.url], KEY, 0.25), SIZE, commands=watched.commands()) as pilot:
        assert isinstance(pilot.app, Top)
        try:
            await press(pilot, "4")
            await shows(pilot, r"patience +10 seconds")
            await press(pilot, "o")
            await shows(pilot, "Set the policy lamps aside")
            await press(pilot, "y")
            await shows(pilot, r"Policy: revision \w+, off")
            assert server.status().engines[0].guard.state == "off"
            await press(pilot, "o")
            await shows(pilot, "Put the policy lamps back")
            await press(pilot, "y")
            await shows(pilot, rf"Policy: revision {before.revision}, ok")
            await press(pilot, "m")
            await shows(pilot, "Params of lamps")
            await press(pilot, "9", "enter")  # what is there is selected: it is typed over
            await shows(pilot, r"patience +9 seconds")
            assert server.status().engines[0].policy.params["patience"] == 9
            await press(pilot, "m")
            await press(pilot, *"9999", "enter")
            await shows(pilot, r"9999 is not in 0.1..3600")
            await press(pilot, "escape", "w")
            await press(pilot, *"sjf", "enter")
            await shows(pilot, r"shadow sjf \w{12} differs")
            await press(pilot, "w")
            await shows(pilot, "is asked beside lamps")
            await press(pilot, "d")
            await press(pilot, "l")
            await press(pilot, *"fcfs", "enter")
            await shows(pilot, r"tried, nothing was changed")
            await press(pilot, "y")
            await shows(pilot, r"lamps top +\S+ +fcfs")
        finally:
            await asyncio.to_thread(restore, watched, pilot.app.moment.engines[0].server)
    after = server.status().engines[0]
    assert (after.policy.revision, after.shadow) == (before.revision, None)


def restore(watched: Watched, name: str) -> None:
    commands = watched.commands()
    commands.tell(name, "reload", commands.policy("lamps"))
    commands.tell(name, "shadow", {"drop": True})
