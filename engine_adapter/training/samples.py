"""Turns to train on and to be judged by: recorded sessions lived through as in an engine.

The same objects as in an engine keep the sessions' history, so a model is trained on what it will be given. The online
statistics live along: what they foretell of each turn, before they learn from it, is in the sample as their answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine_adapter.runtime.hints import Hints
from engine_adapter.runtime.past import USER, Case
from engine_adapter.runtime.predictor import Predictor
from engine_adapter.runtime.sessions import Session
from engine_adapter.training.material import Material
from engine_adapter.workload.trace import SessionTrace
from policy_dsl.prediction import Dist

# Sessions at once, one turn each in rotation.
CONCURRENT = 32
# Sessions that are kept together, since their first turn has the same lengths: the same prompt under other tools, as in
# the augmented traces (65 prompts, three times each). Where more share it, it is no copy but a class of tasks.
MOST_ALIKE = 8


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn. *case*: as it arrived. *output*: tokens of its answer, *after*: of the next turn's, None without one.

    *tool*: what it ended in, `USER` for no call. *online*, *online_chance*: what the online statistics foretold.
    """

    case: Case
    output: int
    after: int | None
    tool: str
    online: Dist
    online_chance: float


@dataclass(frozen=True, slots=True)
class Split:
    """Sessions to train on, to stop by, and to be judged by; of no session is a part here and a part there."""

    train: tuple[SessionTrace, ...]
    valid: tuple[SessionTrace, ...]
    test: tuple[SessionTrace, ...]


def split(sessions: Sequence[SessionTrace], test: float, seed: int) -> Split:
    """*test*: share of the sessions to be judged by; a fifth of the rest is to stop by. Each seed has its own split."""
    groups = _groups(sessions)
    random.Random(f"{seed}/split").shuffle(groups)
    wanted = [round(test * len(sessions)), round((1.0 - test) * 0.2 * len(sessions))]
    parts: list[list[SessionTrace]] = [[], []]
    rest: list[SessionTrace] = []
    for group in groups:
        part = next((part for part, most in zip(parts, wanted, strict=True) if len(part) + len(group) <= most), rest)
        part.extend(group)
    judged, stop = parts
    return Split(tuple(rest), tuple(stop), tuple(judged))


def lived(material: Material, sessions: Sequence[SessionTrace], predictor: Predictor, seed: int) -> list[Sample]:
    """Live through *sessions* of *material*; *predictor* learns from them as they go."""
    found: list[Sample] = []
    sessions_by_name: dict[str, Session] = {}
    for trace, index in rotation(sessions, seed):
        session = sessions_by_name.setdefault(trace.name, Session(trace.name, None, trace.tenant or "", 0.0, 0.0))
        tokens = material.tokens.get((trace.name, index), ())
        found.append(_live(trace, index, session, tokens, predictor))
    return found


def rotation(sessions: Sequence[SessionTrace], seed: int) -> Iterator[tuple[SessionTrace, int]]:
    """(session, index of its turn), so many sessions at once."""
    pending = random.Random(seed).sample(list(sessions), len(sessions))
    active: list[tuple[SessionTrace, int]] = []
    while pending or active:
        while pending and len(active) < CONCURRENT:
            active.append((pending.pop(0), 0))
        yield from active
        active = [(session, index + 1) for session, index in active if index + 1 < len(session.turns)]


def _live(trace: SessionTrace, index: int, session: Session, tokens: Sequence[int], predictor: Predictor) -> Sample:
    """One turn, from its arrival to the return of its call."""
    turn, tool = trace.turns[index], trace.calls_after(index)
    hints = Hints(may_call=any(later.after == "tool" for later in trace.turns))
    predictor.begin_turn(session, turn.prompt)
    case = Case(session.past, session.output, hints.may_call, tokens)
    foreseen = predictor.forecast(session, hints, hints.may_call, None)
    predictor.learn_turn(session, hints, turn.output, tool is not None, tool or USER)
    after = trace.turns[index + 1] if index + 1 < len(trace.turns) else None
    if after is not None:
        predictor.learn_call(session, tool or USER, after.gap_s, max(after.prompt - after.shared, 0))
    return Sample(
        case, turn.output, None if after is None else after.output, tool or USER, foreseen.output, foreseen.chance
    )


def _groups(sessions: Sequence[SessionTrace]) -> list[list[SessionTrace]]:
    """Sessions that belong together: a session with those it started, and copies."""
    by_name = {session.name: session for session in sessions}
    alike: dict[tuple[int, int], int] = {}
    for session in sessions:
        first = session.turns[0].prompt, session.turns[0].output
        alike[first] = alike.get(first, 0) + 1
    groups: dict[object, list[SessionTrace]] = {}
    for session in sessions:
        root, seen = session, {session.name}
        while root.parent in by_name and root.parent not in seen:
            root = by_name[root.parent]
            seen.add(root.name)
        first = root.turns[0].prompt, root.turns[0].output
        key: object = first if 1 < alike[first] <= MOST_ALIKE else root.name
        groups.setdefault(key, []).append(session)
    return list(groups.values())
