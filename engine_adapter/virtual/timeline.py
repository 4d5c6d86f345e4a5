"""The state of a virtual engine over time: one sample a virtual second, fewer where a run is long."""

from __future__ import annotations

from engine_adapter.virtual.engine import VirtualEngine
from engine_adapter.workload.result import Sample

EVERY_S = 1.0
# With more samples than this every other one is dropped, and they are taken half as often.
MOST = 4096


class Timeline:
    """Samples of *engine*, evenly spread but for times in which nothing happens: those get one, at their beginning."""

    def __init__(self, engine: VirtualEngine) -> None:
        self._engine = engine
        self._samples: list[Sample] = []
        self._every_s = EVERY_S
        self.next_s = 0.0

    def tick(self) -> None:
        """Take a sample when one is due."""
        if self._engine.clock() >= self.next_s:
            self.take()

    def take(self) -> None:
        """Take a sample now."""
        engine = self._engine
        now, blocks = engine.clock(), engine.occupancy()
        size = engine.profile.block_size
        self._samples.append(
            Sample(
                at_s=now,
                running=engine.running,
                waiting=engine.waiting,
                paused=engine.paused,
                kv_running=blocks.running * size,
                kv_pinned=blocks.pinned * size,
                kv_free=blocks.free * size,
            )
        )
        self.next_s = now + self._every_s
        if len(self._samples) > MOST:
            del self._samples[1::2]
            self._every_s *= 2.0

    def samples(self) -> tuple[Sample, ...]:
        """All samples, in order, with the present one."""
        self.take()
        return tuple(self._samples)
