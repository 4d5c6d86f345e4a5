"""How many requests the policy lets run: `limit running` and `limit CLASS.running`.

What a limit leaves in a step are its places: its bound, never less than one request, less what runs. `limit ... by`
says who of the waiting requests gets them; promoted ones come first, in their own order, so that what is promised of
promotion holds here too. Of all that wait those are found at once, as the gate is asked, since there may be thousands
for one place. A place goes to nobody that another rule keeps out: one that the gate refuses, or the limit of its class,
doesn't hold it for ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engine_adapter.runtime.asking import Asking, Snapshot
from engine_adapter.runtime.columns import Column
from engine_adapter.runtime.table import CLASS, InColumns
from policy_dsl.limits import of_waiting
from policy_dsl.order import chosen, some_undefined


@dataclass(frozen=True, slots=True)
class Runs:
    """What runs, with what the step has admitted: all together, and by class. *engine*: the signals of then."""

    running: int = 0
    of_class: Mapping[str, int] = field(default_factory=dict)
    engine: Snapshot = field(default_factory=dict)


class RunningLimits:
    """The limits of one policy on what runs. *names*: those of classes first, as they keep others out of `running`."""

    def __init__(self, asking: Asking) -> None:
        policy = asking.policy
        self._asking = asking
        self.names = tuple(sorted(filter(of_waiting, policy.scalar.limits), key=_class_of, reverse=True))
        self._standing: dict[str, float] = {}  # bounds that don't change while the policy is active
        self._by = frozenset(name for name in self.names if policy.states(f"limit {name} ... by"))

    @property
    def of_classes(self) -> bool:
        """Whether one counts the requests of a class, for which all that run are looked at."""
        return any(map(_class_of, self.names))

    def __bool__(self) -> bool:
        return bool(self.names)

    def over(self, class_name: str, runs: Runs) -> str:
        """The limit that one more request of the class would break; "" where none."""
        return next((name for name in self.names if _counts(name, class_name) and self._left(name, runs) < 1), "")

    def without_place(
        self, waiting: InColumns, open_: Column | None, runs: Runs
    ) -> tuple[Column | None, dict[str, Column]]:
        """Who of the *open_* waiting requests (None: all) has a place, and whom each limit keeps out: no two limits the
        same one."""
        found: dict[str, Column] = {}
        for name in self.names:
            asked, left = self._counted(name, waiting, open_), self._left(name, runs)
            count = len(waiting.ids) if asked is None else np.count_nonzero(asked)
            if left >= count or (left >= 1 and name not in self._by):
                continue
            out = np.ones(count, np.bool_) if asked is None else asked.copy()
            if left >= 1:
                out[self._first(name, waiting, asked, int(left))] = False
            found[name], open_ = out, ~out if open_ is None else open_ & ~out
        return open_, found

    # --- inside ----------------------------------------------------------------------------------

    def _counted(self, name: str, waiting: InColumns, open_: Column | None) -> Column | None:
        """Those of *open_* that the limit is about; None: all."""
        of_class = _class_of(name)
        if not of_class:
            return open_
        counted: Column = waiting.rows[CLASS] == self._asking.policy.batch.texts.code(of_class)
        return counted if open_ is None else counted & open_

    def _left(self, name: str, runs: Runs) -> float:
        """How many more may run; from 1 on there is a place."""
        of_class = _class_of(name)
        running = runs.of_class.get(of_class, 0) if of_class else runs.running
        return max(self._bound(name, runs.engine), 1.0) - running

    def _bound(self, name: str, engine: Snapshot) -> float:
        standing, deciding = self._standing.get(name), self._asking.deciding
        if standing is not None:
            return standing
        deciding.guard.asked(f"limit {name}")
        try:
            bound = self._asking.policy.scalar.limit(name, engine)
        except Exception:
            deciding.fault(f"limit {name}")
            return math.inf
        found = math.inf if bound is None else bound
        if deciding.limits_stand:
            self._standing[name] = found
        return found

    def _first(self, name: str, waiting: InColumns, asked: Column | None, count: int) -> Column:
        """The *count* of those *asked* (None: all) that have what the limit leaves. A failing order: all of them,
        counted."""
        deciding, began = self._asking.deciding, self._asking.deciding.begins(f"limit {name}")
        batch, engine = self._asking.policy.batch, self._asking.snapshot()
        arrival, promoted = waiting.rows["request.arrival"], waiting.promoted
        places = None if asked is None else asked.nonzero()[0]
        if places is not None:
            arrival, promoted = arrival[places], promoted[places]
        try:
            keys = batch.shared_by(name, waiting.rows, waiting.hoisted, engine)
            by = batch.promoted_by(waiting.rows, waiting.hoisted, engine) if np.count_nonzero(promoted) else ()
        except Exception:
            deciding.raised(f"limit {name}", began)
            return np.arange(len(arrival)) if places is None else places
        if places is not None:
            keys, by = (tuple(key[places] for key in part) for part in (keys, by))
        found = chosen(keys, arrival, count, promoted, by)
        deciding.asked(f"limit {name}", began, len(arrival))
        if any(map(some_undefined, keys)):
            deciding.no_number(f"limit {name}", float(np.mean(np.any([np.isnan(key) for key in keys], axis=0))))
        return found if places is None else places[found]


def _class_of(name: str) -> str:
    """The class that a limit is about; "" for all."""
    return name.rpartition(".")[0]


def _counts(name: str, class_name: str) -> bool:
    return _class_of(name) in ("", class_name)
