"""What was learned survives restarts; what a disk can do to it never stops an engine."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.runtime.store import VERSION, Learned, Store, load, save


def learned(duration: float = 2.0, times: int = 10) -> Learned:
    predictor = Predictor()
    session = Session("s", None, 'tenant "x"', 0.0, 0.0)
    for _ in range(times):
        predictor.learn_call(session, "search", duration, 30)
    return Learned(predictor.state(), {"prefill_s_per_tok": 1e-3})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sub" / "predictions.sqlite"


def test_nothing_yet(path: Path) -> None:
    assert load(path, "0") == (Learned(), "")
    assert not path.exists()


def test_it_comes_back(path: Path) -> None:
    save(path, "0", learned())
    found, warning = load(path, "0")
    assert warning == ""
    assert found.costs == {"prefill_s_per_tok": 1e-3}
    kept = {kind: classes for kind, classes in learned().state.items() if classes}
    assert found.state == kept


def test_saving_again_replaces(path: Path) -> None:
    save(path, "0", learned(2.0))
    save(path, "0", learned(7.0))
    assert load(path, "0")[0].state["duration"]["search",].mean == pytest.approx(7.0)


def test_engines_share_a_file(path: Path) -> None:
    save(path, "0", learned(1.0, times=30))
    save(path, "1", Learned(learned(5.0, times=10).state, {"prefill_s_per_tok": 9.0}))
    found, _ = load(path, "1")
    assert found.state["duration"]["search",].mean == pytest.approx(2.0)
    assert found.costs == {"prefill_s_per_tok": 9.0}
    assert load(path, "2")[0].costs == {"prefill_s_per_tok": 1e-3}


def test_a_corrupt_file_is_put_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 1000)
    found, warning = load(path, "0")
    assert found == Learned()
    assert "start empty" in warning and "moved to" in warning
    assert not path.exists()
    assert path.with_name(path.name + ".unusable").exists()
    save(path, "0", learned())
    assert load(path, "0")[1] == ""


@pytest.mark.parametrize(
    "damage",
    [
        "PRAGMA user_version = 99",
        "DROP TABLE moments",
        "UPDATE moments SET n = -1",
        "UPDATE moments SET class = class || '{'",
        "UPDATE moments SET mean = 'x'",
    ],
)
def test_a_damaged_file_starts_empty_and_says_so(path: Path, damage: str) -> None:
    save(path, "0", learned())
    with sqlite3.connect(path) as db:
        db.execute(damage)
    db.close()
    found, warning = load(path, "0")
    assert found == Learned()
    assert "start empty" in warning


def test_a_file_of_another_version_is_not_overwritten(path: Path) -> None:
    save(path, "0", learned())
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(sqlite3.DatabaseError, match="version"):
        save(path, "0", learned(9.0))


def test_a_locked_file_keeps_what_it_has(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine_adapter.runtime.store._LOCK_S", 0.05)
    save(path, "0", learned())
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        save(path, "0", learned(9.0))
    holder.execute("ROLLBACK")
    holder.close()
    assert load(path, "0")[0].state["duration"]["search",].mean == pytest.approx(2.0)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_warning(path: Path) -> None:
    save(path, "0", learned())
    path.parent.chmod(0o500)
    warnings: list[str] = []
    Store(path, "0", learned, warnings.append, every_s=60.0).close()
    path.parent.chmod(0o700)
    assert len(warnings) == 1


def test_a_folder_in_place_of_the_file(path: Path) -> None:
    path.mkdir(parents=True)
    found, warning = load(path, "0")
    assert found == Learned()
    assert "start empty" in warning
    warnings: list[str] = []
    tries = threading.Semaphore(0)

    def ask() -> Learned:
        tries.release()
        return Learned()

    store = Store(path, "0", ask, warnings.append, every_s=0.001)
    assert tries.acquire(timeout=5.0) and tries.acquire(timeout=5.0)
    store.close()
    assert len(warnings) == 1


def test_the_store_saves_by_itself_and_when_closed(path: Path) -> None:
    asked = threading.Event()
    state = [learned(1.0)]

    def ask() -> Learned:
        asked.set()
        return state[0]

    store = Store(path, "0", ask, warn=pytest.fail, every_s=0.01)
    assert asked.wait(5.0)
    state[0] = learned(3.0)
    store.close()
    store.close()
    assert load(path, "0")[0].state["duration"]["search",].mean == pytest.approx(3.0)


def test_merging_many_times_stays_loadable(path: Path) -> None:
    predictor, session = Predictor(), Session("s", None, "", 0.0, 0.0)
    for _ in range(200):
        predictor.learn_turn(session, Hints(may_call=True), 5, True, "search")
    for _ in range(3):
        save(path, "0", Learned(predictor.state()))
        save(path, "1", Learned(predictor.state()))
        found, warning = load(path, "0")
        assert warning == ""
        predictor.merge(found.state)
