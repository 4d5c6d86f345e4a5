"""A few waiting requests are ranked one by one, by the policy's rules about a single request.

An operation on columns has its price however short they are, and below saturation they are short. The order is the one
that columns give (tests/runtime/test_table_policy.py). benchmarks/few.py measures both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from engine_adapter.runtime.clocked import SINCE
from policy_dsl.catalogue import signal_of
from policy_dsl.comparing import comparable
from policy_dsl.types import TEXT

Value = float | bool | str
Row = Mapping[str, Value]
Engine = Mapping[str, float | bool]
Keys = tuple[float, ...]
FEW = 12
"""Rows up to which it takes no more time than columns do, whatever the policy: 25 us either way for sjf.lamps, 51
instead of 64 for lamps.lamps (benchmarks/few.py)."""


class Rules(Protocol):
    """What is asked of a policy's rules about one request (`policy_dsl.compiled.ScalarRules`)."""

    rank: Callable[[Row, Engine], Keys]
    promote_by: Callable[[Row, Engine], Keys]

    def promote(self, row: Row, engine: Engine) -> bool: ...


class OneByOne:
    """The rules of one policy, asked about rows of a table's columns. *text*: what a code in a column stands for."""

    def __init__(
        self, rules: Rules, keys: frozenset[str], promote_keys: frozenset[str], text: Callable[[int], str]
    ) -> None:
        """*keys*: the signals of a row that the rules read; *promote_keys*: all that `promote` reads."""
        self.keys = keys
        self.one_asks_engine = not promote_keys <= keys
        """Whether a row that is alone is promoted by signals of the engine."""
        self._rules = rules
        self._text = text
        self._all = _sorts(keys)
        self._promoting = _sorts(keys & promote_keys)

    def ranked(
        self,
        columns: Mapping[str, Any],
        promoted: Any,
        count: int,
        engine: Engine,
        now: float,
        step: int,
    ) -> tuple[list[int], int]:
        """The first *count* rows in final order, and of how many the rank is not a number.

        *promoted*, a column of truth values, is brought up to date. A row that is alone isn't ranked.
        """
        sorts = self._promoting if count == 1 else self._all
        rows = [self._row(columns, place, sorts, now, step) for place in range(count)]
        for place, row in enumerate(rows):
            if not promoted[place] and self._rules.promote(row, engine):
                promoted[place] = True
        if count == 1:
            return [0], 0
        ranks = [self._rules.rank(row, engine) for row in rows]
        arrivals = columns["request.arrival"]

        def place_of(place: int) -> tuple[object, ...]:
            ahead = bool(promoted[place])
            keys = self._rules.promote_by(rows[place], engine) if ahead else ranks[place]
            return (not ahead, *comparable(keys), (False, arrivals.item(place)))

        return sorted(range(count), key=place_of), sum(any(map(math.isnan, keys)) for keys in ranks)

    def _row(self, columns: Mapping[str, Any], place: int, sorts: _Sorts, now: float, step: int) -> Row:
        plain, clocked, texts = sorts
        row: dict[str, Value] = {key: columns[key].item(place) for key in plain}
        for key, clock, since in clocked:
            row[key] = (now if clock == "now" else step) - columns[since].item(place)
        for key in texts:
            row[key] = self._text(columns[key].item(place))
        return row


_Sorts = tuple[Sequence[str], Sequence[tuple[str, str, str]], Sequence[str]]
"""Signals by how they are had: those that stand in a column, that follow from the clock, that are texts."""


def _sorts(keys: frozenset[str]) -> _Sorts:
    clocked = [(key, *SINCE[key]) for key in sorted(keys & SINCE.keys())]
    texts = [key for key in sorted(keys) if not key.endswith(".known") and signal_of(key).type == TEXT]
    return sorted(keys - SINCE.keys() - set(texts)), clocked, texts
