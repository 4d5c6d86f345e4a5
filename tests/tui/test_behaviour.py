"""What keys, mouse, deliveries and losses do to the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from engine_adapter.control.frames import (
    JUDGED,
    VERSION,
    Decision,
    Frame,
    Guard,
    Memory,
    PolicyInfo,
    PredictorInfo,
    Waiting,
)
from tests.tui.conftest import Told, status
from tests.tui.screens import line, press, running, text
from tui.app import Options, Top
from tui.jump import LETTERS
from tui.model import Delivery, EngineView
from tui.recording import Reader
from tui.themes import PALETTES
from tui.views.base import TableView

POLICY = PolicyInfo("p", "0123456789ab")


def frame(**fields: object) -> Frame:
    return Frame(VERSION, POLICY, **({"memory": Memory(1000, 400, 100, 300, 200)} | fields))  # type: ignore[arg-type]


def waiting(*names: str) -> tuple[Waiting, ...]:
    return tuple(
        Waiting(
            id=name,
            session=f"s-{name}",
            place=place,
            waited_s=10.0 - place,
            prompt_tokens=place * 100,
            held_by="kv" if place == 1 else f"behind {names[place - 2]}",
        )
        for place, name in enumerate(names, 1)
    )


def queue_of(*names: str, at: float = 1.0) -> Delivery:
    return Delivery("a", at, status(frame(waiting=waiting(*names), waiting_total=len(names), at=at)))


def rows_of(view: object) -> list[str]:
    assert isinstance(view, TableView)
    return [row.id for row in view.table.shown]


async def test_numbers_and_tab_change_the_screen(film: list[Delivery]) -> None:
    async with running(Told(film)) as pilot:
        assert "KV memory" in text(pilot)
        await press(pilot, "3")
        assert "Calls:" in text(pilot)
        await press(pilot, "tab")
        assert pilot.app.view.title == "Policy"  # type: ignore[attr-defined]
        await press(pilot, "shift+tab", "shift+tab", "shift+tab")
        assert pilot.app.view.title == "Overview"  # type: ignore[attr-defined]
        await pilot.click("Tabs", offset=(16, 0))
        assert pilot.app.view.title == "Queue"  # type: ignore[attr-defined]


async def test_the_cursor_stays_on_its_request_when_the_order_changes() -> None:
    source = Told([queue_of("r1", "r2", "r3")])
    async with running(source, options=Options(view="queue")) as pilot:
        table = pilot.app.view.table  # type: ignore[attr-defined]
        await press(pilot, "j", "j")
        assert table.row.id == "r3"
        source.say(queue_of("r3", "r1", "r2", at=2.0))
        await pilot.pause()
        assert (table.cursor, table.row.id) == (0, "r3")
        source.say(queue_of("r1", "r2", at=3.0))  # it is gone
        await pilot.pause()
        assert table.row.id == "r1"
        source.say(queue_of(at=4.0))
        await pilot.pause()
        assert table.row is None and "nothing waits" in text(pilot)
        await press(pilot, "j", "k", "enter", "G", "g", "s")  # nothing to move on, and no error


async def test_filter_sort_and_what_is_said_of_them() -> None:
    async with running(Told([queue_of("apple", "pear", "plum")]), options=Options(view="queue")) as pilot:
        await press(pilot, "slash", "p", "e", "a")
        assert rows_of(pilot.app.view) == ["pear"]  # type: ignore[attr-defined]
        await press(pilot, "enter")
        assert "1 with 'pea'" in text(pilot)
        await press(pilot, "escape")
        assert rows_of(pilot.app.view) == ["apple", "pear", "plum"]  # type: ignore[attr-defined]
        table = pilot.app.view.table  # type: ignore[attr-defined]
        while table.sorting != "prompt":
            await press(pilot, "s")
        assert rows_of(pilot.app.view) == ["plum", "pear", "apple"]  # type: ignore[attr-defined]
        assert "by prompt" in text(pilot)


async def test_keys_typed_into_the_filter_are_letters() -> None:
    async with running(Told([queue_of("quick", "slow")]), options=Options(view="queue")) as pilot:
        await press(pilot, "slash", "q")
        assert pilot.app.query_one("#filter", Input).value == "q"
        assert pilot.app.is_running and rows_of(pilot.app.view) == ["quick"]  # type: ignore[attr-defined]


async def test_a_click_opens_a_row_and_a_title_sorts() -> None:
    async with running(Told([queue_of("r1", "r2")]), options=Options(view="queue")) as pilot:
        table = pilot.app.view.table  # type: ignore[attr-defined]
        await pilot.click(table, offset=(5, 3))
        assert table.row.id == "r2"
        await pilot.click(table, offset=(5, 3))
        await pilot.pause()
        assert type(pilot.app.screen).__name__ == "Opened" and "of session s-r2" in text(pilot)
        await press(pilot, "escape")
        x = text(pilot).splitlines()[3].index("prompt") + 2
        await pilot.click(table, offset=(x, 1))
        assert table.sorting == "prompt"


async def test_opening_a_request_asks_the_engine_where_that_can_be_done() -> None:
    asked = []

    def explain(engine: EngineView, about: str | Decision) -> str:
        asked.append((engine.server, about))
        if about == "r2":
            raise ValueError("there is no request r2")
        return "place 1 of 2 [not markup]"

    async with running(Told([queue_of("r1", "r2")]), options=Options(view="queue"), explain=explain) as pilot:
        await press(pilot, "enter")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert "place 1 of 2 [not markup]" in text(pilot)
        await press(pilot, "escape", "j", "enter")
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()
        assert "there is no request r2" in text(pilot)
        assert asked == [("a", "r1"), ("a", "r2")]


async def test_a_lost_server_is_said_its_values_fade_and_it_comes_back() -> None:
    source = Told([queue_of("r1")])
    async with running(source) as pilot:
        app = pilot.app
        assert isinstance(app, Top) and not app.look.faded
        source.say(Delivery("a", 2.0, trouble="nothing answers at a", hint="start it"))
        await pilot.pause()
        assert "! nothing answers at a: start it" in text(pilot)
        assert app.look.faded and "waiting" in text(pilot)
        source.say(queue_of("r1", "r2", at=3.0))
        await pilot.pause()
        assert "nothing answers" not in text(pilot) and not app.look.faded


async def test_nothing_has_answered_yet() -> None:
    source = Told([Delivery("a", 0.0, trouble="nothing answers at a")])
    async with running(source) as pilot:
        for number in range(1, 8):
            await press(pilot, str(number))
            assert "nothing answers at a" in text(pilot)


async def test_pause_freezes_the_screen_and_goes_on_with_the_latest() -> None:
    source = Told([queue_of("r1")])
    async with running(source, options=Options(view="queue")) as pilot:
        await press(pilot, "p")
        source.say(queue_of("r1", "r2", at=2.0))
        await pilot.pause()
        assert rows_of(pilot.app.view) == ["r1"] and "paused" in line(pilot, "lamps top")  # type: ignore[attr-defined]
        await press(pilot, "space")
        assert rows_of(pilot.app.view) == ["r1", "r2"]  # type: ignore[attr-defined]


async def test_recording_writes_what_was_told(tmp_path: Path) -> None:
    source, path = Told([queue_of("r1")]), tmp_path / "r.jsonl.gz"
    async with running(source, options=Options(record=path)) as pilot:
        assert "rec" in line(pilot, "lamps top")
        source.say(queue_of("r1", "r2", at=2.0))
        await pilot.pause()
        await press(pilot, "r")
        assert "rec " not in line(pilot, "lamps top")
        source.say(queue_of("r3", at=3.0))
        await pilot.pause()
    told = [line.parsed().engines[0].waiting_total for line, _ in Reader(path).lines()]
    assert told == [1, 2]


async def test_a_recording_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    async with running(Told(), options=Options(record=tmp_path / "no" / "r.jsonl")) as pilot:
        await pilot.pause()
        assert "can't write" in text(pilot)


async def test_engines_are_gone_through_and_the_odd_one_is_named(film: list[Delivery]) -> None:
    async with running(Told(film), (120, 30)) as pilot:
        assert ":8000 (1 of 3)" in text(pilot)
        await press(pilot, "E")
        assert ":8002 (3 of 3)" in text(pilot) and "fcfs" in line(pilot, "lamps top")
        await press(pilot, "7")
        assert ":8002 unlike the others" in text(pilot)
        await press(pilot, "g", "enter")
        assert ":8000 (1 of 3)" in text(pilot)


async def test_themes_keep_the_words(film: list[Delivery]) -> None:
    async with running(Told(film), toasts=False) as pilot:
        before = text(pilot)
        for _ in PALETTES:
            await press(pilot, "t")
            await pilot.pause()
            assert text(pilot).splitlines()[:12] == before.splitlines()[:12]
        assert pilot.app.theme == "lamps-dark"


async def test_keys_can_be_given_to_others(film: list[Delivery]) -> None:
    async with running(Told(film), options=Options(keys={"queue": "x", "pause": "ctrl+p"})) as pilot:
        await press(pilot, "2")
        assert pilot.app.view.title == "Overview"  # type: ignore[attr-defined]
        await press(pilot, "x")
        assert pilot.app.view.title == "Queue"  # type: ignore[attr-defined]
        await press(pilot, "question_mark")
        assert " x " in line(pilot, "queue") or line(pilot, "queue").startswith(("│ x", "x"))


async def test_help_lists_every_key_and_the_palette_every_screen(film: list[Delivery]) -> None:
    async with running(Told(film), (110, 60)) as pilot:
        await press(pilot, "question_mark")
        shown = text(pilot)
        for words in ("first", "filter", "one frame back", "go to a time", "next engine", "quit"):
            assert words in shown
        await press(pilot, "escape", "colon")
        await pilot.pause(0.3)
        assert "Predictors" in text(pilot)


async def test_jump_mode_goes_to_screens_titles_and_rows(film: list[Delivery]) -> None:
    async with running(Told(film), (120, 30)) as pilot:
        app = pilot.app
        assert isinstance(app, Top)
        await press(pilot, "ctrl+o")
        assert " a" in text(pilot).splitlines()[1]
        await press(pilot, "s")  # the second tab
        assert app.view.title == "Queue" and len(app.screen_stack) == 1
        table = app.view.table  # type: ignore[attr-defined]
        await press(pilot, "ctrl+o", "k")  # seven tabs, then the first title
        assert table.sorting == "#"
        titles = sum(1 for n, cells in enumerate(table.widths(table.size.width)) if cells and table.columns[n].sort)
        await press(pilot, "ctrl+o", LETTERS[7 + titles + 2])
        assert table.cursor == 2
        await press(pilot, "ctrl+o", "escape", "1", "ctrl+o", LETTERS[7])
        assert app.view.title == "Calls"  # what the memory's panel leads to


async def test_frames_go_on_behind_a_dialog() -> None:
    source = Told([queue_of("r1")])
    async with running(source, options=Options(view="queue")) as pilot:
        for key in ("question_mark", "enter", "colon"):
            await press(pilot, key)
            source.say(queue_of("r1", "r2", at=2.0))
            await pilot.pause(0.3)
            assert len(pilot.app.screen_stack) == 2
            await press(pilot, "tab", "escape")
        assert rows_of(pilot.app.view) == ["r1", "r2"]  # type: ignore[attr-defined]


async def test_a_failing_policy_is_told_with_a_code() -> None:
    guard = Guard("fallback", "built-in answers stood in for `rank` 3 times")
    async with running(Told([Delivery("a", 0.0, status(frame(guard=guard)))])) as pilot:
        assert "falling back" in line(pilot, "0123456789ab")
        assert "`rank` 3 times" in line(pilot, "TOP01")


@pytest.mark.parametrize(
    ("predictor", "said"),
    [
        (PredictorInfo("learned", "r7", "a trace", True, 0.81), "learned r7, 0.81 of the error of the statistics"),
        (PredictorInfo("learned", "r7", "a trace", False), "learned r7, set aside for now"),
        (PredictorInfo(reason="its file is broken"), "no trained model: its file is broken"),
    ],
)
async def test_a_trained_predictor_is_told(predictor: PredictorInfo, said: str) -> None:
    source = Told([Delivery("a", 0.0, status(frame(predictor=predictor)))])
    async with running(source, options=Options(view="predictors")) as pilot:
        assert said in text(pilot)


async def test_ten_thousand_requests_are_listed() -> None:
    names = [f"r{n}" for n in range(10_000)]
    async with running(Told([queue_of(*names)]), options=Options(view="queue")) as pilot:
        await press(pilot, "G")
        await pilot.pause()
        assert pilot.app.view.table.row.id == "r9999"  # type: ignore[attr-defined]
        assert "10000" in text(pilot)


async def test_names_of_sessions_are_not_markup() -> None:
    row = Waiting("id", "[red]x[/]\U0001f600\U0001f600\U0001f600", 1)
    source = Told([Delivery("a", 0.0, status(frame(waiting=(row,), waiting_total=1)))])
    async with running(source, options=Options(view="queue")) as pilot:
        assert "[red]x[/]" in text(pilot)


async def test_leaving_stops_the_source() -> None:
    source = Told([queue_of("r1")])
    async with running(source) as pilot:
        await press(pilot, "q")
    assert source.stopped


async def test_rows_are_judged_while_they_are_seen_or_recorded(tmp_path: Path) -> None:
    source = Told([queue_of("r1")])
    async with running(source) as pilot:
        asked = [source.judged]
        for key in ("2", "4", "3", "1"):  # queue, policy, calls, overview
            await pilot.press(key)
            asked.append(source.judged)
        assert asked == [(), ("waiting",), (), ("paused",), ()]
    source = Told([queue_of("r1")])
    async with running(source, options=Options(record=tmp_path / "r.jsonl")) as pilot:
        assert source.judged == JUDGED
        await pilot.press("r")  # the recording ends
        assert source.judged == ()
