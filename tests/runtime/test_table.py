"""The waiting table against plain rows: whatever is added, changed, removed, the order is right."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from engine_adapter.runtime.columns import Columns
from engine_adapter.runtime.hoisting import FEW_WRITTEN
from engine_adapter.runtime.table import WaitingTable

Engine = Mapping[str, float | bool]


class Texts:
    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def code(self, text: str) -> int:
        return self._codes.setdefault(text, len(self._codes))


class Policy:
    """rank: hoisted (cost * prompt), less the age, by tool; promote after 10 steps, by session age, oldest first."""

    hoisted_keys = frozenset({"request.prompt"})
    step_keys = frozenset(
        {
            "request.arrival", "request.age", "request.waited", "request.waited_steps", "session.age", "session.waited",
            "call.tool", "call.duration.known", "call.remaining",
        }
    )  # fmt: skip

    def __init__(self) -> None:
        self.texts = Texts()
        self.hoisted_rows = 0
        self.seen: dict[str, list[Any]] = {}

    def hoist(self, rows: Columns, engine: Engine) -> tuple[Any, ...]:
        self.hoisted_rows += len(rows["request.prompt"])
        return (rows["request.prompt"] * engine["cost"],)

    def hoist_one(self, row: Engine, engine: Engine) -> tuple[Any, ...]:
        self.hoisted_rows += 1
        return (row["request.prompt"] * engine["cost"],)

    def rank(self, rows: Columns, hoisted: tuple[Any, ...], engine: Engine) -> tuple[Any, ...]:
        self.seen = {key: rows[key].tolist() for key in self.step_keys}
        return (hoisted[0] - rows["request.age"], rows["call.tool"].astype(float))

    def promoted(self, rows: Columns, hoisted: tuple[Any, ...], engine: Engine) -> Any:
        return rows["request.waited_steps"] >= engine["patience"]

    def promoted_by(self, rows: Columns, hoisted: tuple[Any, ...], engine: Engine) -> tuple[Any, ...]:
        return (-rows["session.age"],)


ENGINE = {"cost": 1.0, "patience": math.inf}


def row(prompt: float = 0.0, tool: str = "") -> dict[str, float | bool | str]:
    return {"request.prompt": prompt, "call.tool": tool, "call.duration.known": True, "call.remaining": 3.0}


def add(table: WaitingTable, name: str, prompt: float = 0.0, arrival: float = 0.0, **more: Any) -> None:
    table.add(name, row(prompt), arrival=arrival, now=more.pop("now", arrival), step=more.pop("step", 0), **more)


def test_the_order_is_the_policys() -> None:
    table = WaitingTable(Policy())
    for name, prompt in (("c", 30.0), ("a", 10.0), ("b", 20.0)):
        add(table, name, prompt)
    assert table.first(9, ENGINE, 0.0, 0) == ["a", "b", "c"]
    assert table.first(2, ENGINE, 0.0, 0) == ["a", "b"]
    assert table.first(0, ENGINE, 0.0, 0) == []


def test_step_columns_follow_the_clock() -> None:
    policy = Policy()
    table = WaitingTable(policy)
    table.add(
        "a", row(tool="x"), arrival=10.0, now=12.0, step=5, waited_s=1.5, waited_steps=3, session_arrival=2.0,
        session_waited_s=4.0,
    )  # fmt: skip
    table.first(1, ENGINE, 20.0, 9)
    assert policy.seen == {
        "request.arrival": [10.0],
        "request.age": [10.0],
        "request.waited": [9.5],
        "request.waited_steps": [7.0],
        "session.age": [18.0],
        "session.waited": [13.5],
        "call.tool": [policy.texts.code("x")],
        "call.duration.known": [True],
        "call.remaining": [3.0],
    }


def test_only_written_rows_are_hoisted_until_an_epoch() -> None:
    policy = Policy()
    table = WaitingTable(policy)
    for i in range(100):
        add(table, f"r{i}", float(i))
    table.first(1, ENGINE, 0.0, 0)
    assert policy.hoisted_rows == 100
    table.first(1, ENGINE, 0.0, 0)
    assert policy.hoisted_rows == 100
    add(table, "new", -1.0)
    table.update("r50", {"request.prompt": -2.0, "not.read": 1.0})
    assert table.first(2, ENGINE, 0.0, 0) == ["r50", "new"]
    assert policy.hoisted_rows == 102
    for i in range(FEW_WRITTEN + 1):
        table.update(f"r{i}", {"request.prompt": -9.0 + i})
    assert table.first(3, ENGINE, 0.0, 0) == ["r0", "r1", "r2"]
    assert policy.hoisted_rows == 102 + FEW_WRITTEN + 1
    table.new_epoch()
    assert table.first(1, {**ENGINE, "cost": -1.0}, 0.0, 0) == ["r99"]
    assert policy.hoisted_rows == 203 + FEW_WRITTEN + 1


def test_promotion_lasts_and_is_ordered_by_the_rule() -> None:
    table = WaitingTable(Policy())
    add(table, "cheap", 1.0, arrival=3.0)
    add(table, "old", 9.0, arrival=1.0)
    add(table, "older", 99.0, arrival=0.0)
    assert table.first(3, ENGINE, 3.0, 0) == ["cheap", "old", "older"]
    assert table.first(3, {**ENGINE, "patience": 10.0}, 3.0, 10) == ["older", "old", "cheap"]
    add(table, "late", -9.0, arrival=4.0, step=10)
    assert table.first(9, ENGINE, 4.0, 10) == ["older", "old", "cheap", "late"]
    assert table.is_promoted("old") and not table.is_promoted("late") and not table.is_promoted("nobody")
    assert table.remove("old") is True
    assert table.remove("late") is False
    add(table, "old", 9.0, arrival=1.0, promoted=True)
    assert table.first(2, ENGINE, 4.0, 10) == ["older", "old"]


def test_places_say_why() -> None:
    table = WaitingTable(Policy())
    add(table, "a", 5.0)
    add(table, "b", 1.0, promoted=True)
    places = table.places(2, ENGINE, 2.0, 0)
    assert [(p.id, p.keys, p.promoted) for p in places] == [("b", (-1.0, 0.0), True), ("a", (3.0, 0.0), False)]


def test_a_row_can_wait_once_only_and_leave_any_time() -> None:
    table = WaitingTable(Policy())
    add(table, "a")
    with pytest.raises(ValueError, match="waits already"):
        add(table, "a")
    assert table.remove("nobody") is False
    table.remove("a")
    assert (len(table), table.first(3, ENGINE, 0.0, 0), table.by_arrival(3)) == (0, [], [])


def test_a_missing_signal_is_a_mistake_that_leaves_no_row() -> None:
    table = WaitingTable(Policy())
    with pytest.raises(KeyError):
        table.add("a", {}, arrival=0.0, now=0.0, step=0)
    assert len(table) == 0


def test_a_rule_that_raises_leaves_the_table_whole() -> None:
    table = WaitingTable(Policy())
    add(table, "b", arrival=2.0)
    add(table, "a", arrival=1.0)
    with pytest.raises(KeyError):
        table.first(2, {}, 0.0, 0)
    assert table.by_arrival(2) == ["a", "b"]
    assert table.first(2, ENGINE, 2.0, 0) == ["a", "b"]


@pytest.mark.parametrize("seed", range(5))
def test_random_changes_against_plain_rows(seed: int) -> None:
    rng = random.Random(seed)
    table = WaitingTable(Policy())
    plain: dict[str, tuple[float, float]] = {}
    engine = dict(ENGINE)
    for i in range(1500):
        now = float(i)
        match rng.choice("aaaurref"):
            case "a":
                plain[f"r{i}"] = (rng.random() * 500, now)
                add(table, f"r{i}", plain[f"r{i}"][0], arrival=now)
            case "r" if plain:
                name = rng.choice(list(plain))
                del plain[name]
                table.remove(name)
            case "u" if plain:
                name = rng.choice(list(plain))
                plain[name] = (rng.random() * 500, plain[name][1])
                table.update(name, {"request.prompt": plain[name][0]})
            case "e" if rng.random() < 0.1:
                engine["cost"] = rng.uniform(0.5, 2.0)
                table.new_epoch()
            case _:
                expected = sorted(
                    plain, key=lambda n: (plain[n][0] * engine["cost"] - (now - plain[n][1]), plain[n][1])
                )
                assert table.first(20, engine, now, i) == expected[:20]
    assert sorted(table.ids) == sorted(plain)
    view = table.view()
    assert {len(column) for column in view.values()} == {len(plain)}
    assert [plain[name][0] for name in table.ids] == view["request.prompt"].tolist()


def test_columns_of_more_rows_than_there_was_room_for_replace_the_shorter_ones() -> None:
    """As many rows as when the columns were last cut, but in other arrays."""
    table = WaitingTable(Policy())
    for n in range(64):
        add(table, f"r{n}", float(n + 1))
    assert table.first(1, ENGINE, 0.0, 0) == ["r0"]
    add(table, "r64", 0.5)
    table.remove("r0")
    table.update("r1", row(100.0))
    assert table.first(2, ENGINE, 0.0, 0) == ["r64", "r2"]
    table.update("r2", row(200.0))
    assert table.first(2, ENGINE, 0.0, 0) == ["r64", "r3"]
    assert table.first(64, ENGINE, 0.0, 0)[-2:] == ["r1", "r2"]


def test_terms_hoisted_anew_replace_those_of_before() -> None:
    """The same rows, another epoch."""
    table = WaitingTable(Policy())
    for name, prompt in (("a", 10.0), ("b", 20.0)):
        add(table, name, prompt)
    assert table.first(2, ENGINE, 0.0, 0) == ["a", "b"]
    table.new_epoch()
    assert table.first(2, ENGINE | {"cost": -1.0}, 0.0, 0) == ["b", "a"]


def test_the_view_is_no_copy() -> None:
    table = WaitingTable(Policy())
    add(table, "a", 5.0)
    first, again = table.view()["request.prompt"], table.view()["request.prompt"]
    assert np.shares_memory(first, again)
