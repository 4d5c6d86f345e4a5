"""What was learned, kept in SQLite across restarts.

Several engines (data-parallel ranks) may share one file: each writes its own rows and starts from
what all have learned. A file that is corrupt, locked, read-only or of another version never stops an
engine: it starts empty and says so. Nothing is read or written on the engine's thread after start.

    learned, warning = load(path, engine)
    predictor.merge(learned.state)
    costs.resume(learned.costs)
    store = Store(path, engine, lambda: Learned(predictor.state(), costs.state()), logger.warning)

Rows are plain (moments by name), so that people can look at them with `sqlite3`.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from engine_adapter.runtime.learned import Key
from engine_adapter.runtime.moments import WINDOW, Moments, pooled
from engine_adapter.runtime.predictor import State

VERSION = 1
SAVE_EVERY_S = 60.0
# How long another engine's writing is waited for. Only at start and in the background.
_LOCK_S = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS moments (
  engine TEXT, kind TEXT, class TEXT, n REAL, mean REAL, mean_log REAL, var_log REAL,
  PRIMARY KEY (engine, kind, class)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS costs (
  engine TEXT, name TEXT, value REAL, PRIMARY KEY (engine, name)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Learned:
    """*state*: the predictor's. *costs*: the cost model's (empty: none)."""

    state: State = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)


def load(path: Path, engine: str) -> tuple[Learned, str]:
    """What all engines of *path* have learned; costs are this engine's, else another's.

    The second value is a warning for the log ("" when all is well; a missing file is well).
    """
    if not path.exists():
        return Learned(), ""
    try:
        with closing(_open(path)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise sqlite3.DatabaseError(f"it has version {version}, not {VERSION}")
            return _read(db, engine), ""
    except sqlite3.OperationalError as error:
        return Learned(), f"predictions start empty: {path} can't be read: {error}"
    except (sqlite3.Error, ValueError, TypeError) as error:
        return Learned(), f"predictions start empty: {path}: {error}; {_put_aside(path)}"


def save(path: Path, engine: str, learned: Learned) -> None:
    """Replace this engine's rows, all or nothing. Raises sqlite3.Error or OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(_open(path)) as db, db:
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError(f"it has version {version}, not {VERSION}")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("DELETE FROM moments WHERE engine = ?", (engine,))
        db.execute("DELETE FROM costs WHERE engine = ?", (engine,))
        rows = (
            (engine, kind, json.dumps(key), *moments)
            for kind, classes in learned.state.items()
            for key, moments in classes.items()
        )
        db.executemany("INSERT INTO moments VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.executemany("INSERT INTO costs VALUES (?, ?, ?)", ((engine, *item) for item in learned.costs.items()))


class Store:
    """Saves in the background: every so often, and once more when closed.

    *engine* names the rows that are this engine's (its data-parallel rank). *learned* is called from
    the saving thread. *warn* gets one sentence when saving begins to fail, not one each time.
    """

    def __init__(
        self,
        path: Path,
        engine: str,
        learned: Callable[[], Learned],
        warn: Callable[[str], None],
        every_s: float = SAVE_EVERY_S,
    ) -> None:
        self._path = path
        self._engine = engine
        self._learned = learned
        self._warn = warn
        self._every_s = every_s
        self._failing = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lamps-store", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Save once more and end the thread; does nothing the second time."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._save()
        self._save()

    def _save(self) -> None:
        try:
            save(self._path, self._engine, self._learned())
        except (sqlite3.Error, OSError) as error:
            if not self._failing:
                self._warn(f"predictions are not being saved: {self._path}: {error}")
            self._failing = True
        else:
            self._failing = False


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_LOCK_S, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _read(db: sqlite3.Connection, engine: str) -> Learned:
    state: State = {}
    for kind, name, *values in db.execute("SELECT kind, class, n, mean, mean_log, var_log FROM moments"):
        key: Key = tuple(json.loads(name))
        moments = Moments(*(float(value) for value in values))
        if not 0.0 < moments.n <= WINDOW:
            raise ValueError(f"a class has seen {moments.n} observations")
        classes = state.setdefault(str(kind), {})
        classes[key] = pooled(classes[key], moments) if key in classes else moments
    costs: dict[str, dict[str, float]] = {}
    for owner, name, value in db.execute("SELECT engine, name, value FROM costs ORDER BY engine"):
        costs.setdefault(str(owner), {})[str(name)] = float(value)
    return Learned(state, costs.get(engine) or next(iter(costs.values()), {}))


def _put_aside(path: Path) -> str:
    aside = path.with_name(path.name + ".unusable")
    try:
        path.replace(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        return f"it couldn't be moved away: {error}"
    return f"it was moved to {aside}"
