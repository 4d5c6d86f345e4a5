"""The machine a run is measured on: what it is, and what else it did meanwhile.

A server under measurement must have its cores to itself. Two looks say whether it had: how much processor time others
took, from /proc/stat, and how long a fixed piece of work takes here and now, which also shows cores that are slowed
down or shared out by a hypervisor.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from engine_adapter.runtime.processor import processor

# Cores that others may take without a run being called disturbed: a twentieth of the two that a small server uses.
MOST_OTHERS = 0.1
# The same work may take so much longer after a run than before it, and so much longer by the clock than in CPU time.
MOST_SLOWED, MOST_STRETCHED = 1.15, 1.25
_LOOK_S = 0.5  # fifty ticks of the clock that /proc/stat counts in
_ROUNDS, _LOOPS = 9, 60_000  # 3 ms each: shorter than a time slice, long against the clock
_STAT = Path("/proc/stat")


def cores() -> frozenset[int]:
    """The numbers of those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


# As they are when the program starts: where servers are started, this process is kept off one of them later.
CORES = cores()


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What there was beside a run. Cores that others took just before it, meanwhile, just after;
    None where it can't be known. *slowed*: how many times as long the same work took after it; *stretched*: how many
    times its CPU time the work took by the clock, the larger of before and after. *work_ms*: its CPU time, the mean of
    before and after; None in results of before it was kept."""

    others_before: float | None
    others_during: float | None
    others_after: float | None
    slowed: float
    stretched: float
    work_ms: float | None = None

    @property
    def reasons(self) -> list[str]:
        """Why the run proves little, each in a few words; empty for a calm machine."""
        said = [
            f"others took {cores:.2f} cores {when}"
            for when, cores in (
                ("before it", self.others_before), ("meanwhile", self.others_during), ("after it", self.others_after),
            )
            if cores is not None and cores > MOST_OTHERS
        ]  # fmt: skip
        if not 1 / MOST_SLOWED <= self.slowed <= MOST_SLOWED:
            said.append(f"the processor's speed changed by a factor of {max(self.slowed, 1 / self.slowed):.2f}")
        if self.stretched > MOST_STRETCHED:
            said.append(f"work took {self.stretched:.2f} times its processor time")
        return said


@dataclass(frozen=True, slots=True)
class Look:
    """Half a second of the machine: cores that others took, seconds of the fixed work, how far it was stretched."""

    others: float | None
    work_s: float
    stretched: float


class Meter:
    """Cores that others take between two readings: neither this process nor those of the process groups *ours*.

    *elsewhere*: a server that is none of them may be measured, so what is taken meanwhile is not known.
    """

    def __init__(self, ours: Collection[int], elsewhere: bool = False) -> None:
        self._ours = frozenset(ours)
        self._elsewhere = elsewhere
        self._began = self._reading()

    def others(self) -> float | None:
        """Since it was made."""
        if self._elsewhere or self._began is None or (now := self._reading()) is None:
            return None
        wall_s, busy_s, own_s = (after - before for before, after in zip(self._began, now, strict=True))
        return max(0.0, round((busy_s - own_s) / wall_s, 3)) if wall_s > 0 else None

    def _reading(self) -> tuple[float, float, float] | None:
        busy = busy_s()
        return None if busy is None else (time.monotonic(), busy, time.process_time() + groups_s(self._ours))


def look(ours: Collection[int], elsewhere: bool = False) -> Look:
    """At a machine on which nothing of ours is at work. Takes half a second.

    *elsewhere* as in `Meter`: vLLM on a processor still takes a core (measured: 1.0) just after its last step, and
    where its processes aren't known that can't be told from what disturbs it.
    """
    meter = Meter(ours, elsewhere)
    time.sleep(_LOOK_S)
    others = meter.others()
    work_s, stretched = _work()
    return Look(others, work_s, stretched)


def disturbance(before: Look, during: float | None, after: Look) -> Disturbance:
    """What two looks and the meter between them say."""
    slowed, stretched = after.work_s / before.work_s, max(before.stretched, after.stretched)
    work_ms = 1e3 * (before.work_s + after.work_s) / 2
    return Disturbance(before.others, during, after.others, round(slowed, 3), round(stretched, 3), round(work_ms, 3))


def busy_s(stat: Path = _STAT) -> float | None:
    """CPU seconds taken of CORES by anybody, a hypervisor's other guests too; None where the system doesn't tell."""
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return None
    total = 0
    for line in lines:
        name, *values = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in CORES:
            user, nice, system, _idle, _iowait, *rest = map(int, values[:8])
            total += user + nice + system + sum(rest)
    return total / os.sysconf("SC_CLK_TCK")


def groups_s(groups: Collection[int]) -> float:
    """CPU seconds of the processes of these process groups, and of their children that have ended."""
    ticks = 0
    for entry in Path("/proc").iterdir() if groups else ():
        if not entry.name.isdigit():
            continue
        try:
            values = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if int(values[2]) in groups:
            ticks += sum(map(int, values[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def machine() -> dict[str, Any]:
    """What stands in a result: processor, cores, system."""
    return {"processor": processor(), "cores": len(CORES), "system": platform.system()}


def _work() -> tuple[float, float]:
    """Median CPU seconds of the fixed work, and all of its clock time over all of its CPU time."""
    taken = []
    began, began_cpu = time.perf_counter(), time.thread_time()
    for _ in range(_ROUNDS):
        at = time.thread_time()
        total = 0
        for number in range(_LOOPS):
            total += number & 7
        taken.append(time.thread_time() - at)
    wall_s, cpu_s = time.perf_counter() - began, time.thread_time() - began_cpu
    return median(taken), wall_s / cpu_s
