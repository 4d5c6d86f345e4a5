"""Which KV blocks lie in host memory, for whom, and which slot each has. No bytes, no vLLM: the account alone.

A block is kept for its owners and goes with the last of them: nothing is thrown out to make room for something else.
What a transfer still writes or reads, and what was found in this step and may be read at its end, keeps its slot for as
long; without an owner it is not found any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto


class State(Enum):
    """What is known of a block: not here, on its way here, or here."""

    MISSING = auto()
    COMING = auto()
    READY = auto()


@dataclass(eq=False, slots=True)
class Receipt:
    """Counts the blocks of one owner that have become ready since `HostSpace.collect` was last asked."""

    owner: str
    ready: int = 0


@dataclass(eq=False, slots=True)
class _Block:
    slot: int
    owners: set[str] = field(default_factory=set)
    ready: bool = False
    readers: int = 0
    receipts: list[Receipt] = field(default_factory=list)


class HostSpace:
    """*slots* places of one KV block each. Keys are the blocks' hashes; owners are names."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._free = list(range(slots - 1, -1, -1))  # the next to be used is last
        self._blocks: dict[bytes, _Block] = {}
        self._owned: dict[str, dict[bytes, None]] = {}
        self._found: set[bytes] = set()
        self._receipts: dict[Receipt, None] = {}  # with something to collect

    @property
    def free(self) -> int:
        """Slots that can be had now."""
        return len(self._free)

    def __len__(self) -> int:
        """Blocks that have a slot, those on their way and those without an owner included."""
        return len(self._blocks)

    def owners(self) -> list[str]:
        """All owners, the oldest first."""
        return list(self._owned)

    def fitting(self, keys: Sequence[bytes]) -> int:
        """How many of *keys*, from the first, there is room for."""
        room = len(self._free)
        for place, key in enumerate(keys):
            if key not in self._blocks:
                if not room:
                    return place
                room -= 1
        return len(keys)

    def take(self, keys: Sequence[bytes], owner: str) -> list[tuple[bytes, int]]:
        """Keep *keys* for *owner*; returns those that must be written, with their slots.

        ValueError when there is no room for all of them: nothing is taken then.
        """
        if self.fitting(keys) < len(keys):
            raise ValueError(f"no room for {len(keys)} blocks: {len(self._free)} slots are free")
        written = []
        owned = self._owned.setdefault(owner, {})
        for key in keys:
            block = self._blocks.get(key)
            if block is None:
                block = self._blocks[key] = _Block(self._free.pop())
                written.append((key, block.slot))
            block.owners.add(owner)
            owned[key] = None
        return written

    def watch(self, keys: Iterable[bytes], receipt: Receipt) -> None:
        """Count each of *keys* on *receipt* once it is ready, at once where it is."""
        for key in keys:
            block = self._blocks[key]
            if block.ready:
                self._count(receipt)
            else:
                block.receipts.append(receipt)

    def collect(self) -> list[tuple[Receipt, int]]:
        """Receipts on which blocks were counted since the last time, and how many."""
        found = [(receipt, receipt.ready) for receipt in self._receipts]
        for receipt in self._receipts:
            receipt.ready = 0
        self._receipts.clear()
        return found

    @property
    def has_news(self) -> bool:
        """Whether there is something to collect."""
        return bool(self._receipts)

    def written(self, keys: Iterable[bytes]) -> None:
        """The bytes of these blocks have arrived."""
        for key in keys:
            block = self._blocks[key]
            block.ready = True
            for receipt in block.receipts:
                self._count(receipt)
            block.receipts.clear()
            self._settle(key)

    def find(self, key: bytes) -> State:
        """Whether a block is here. One that is ready stays at least until `end_step`."""
        block = self._blocks.get(key)
        if block is None or not block.owners:
            return State.MISSING
        if not block.ready:
            return State.COMING
        self._found.add(key)
        return State.READY

    def read(self, keys: Iterable[bytes]) -> list[int]:
        """Slots of blocks that were found and are now being read. KeyError for one that isn't here."""
        slots = []
        for key in keys:
            block = self._blocks[key]
            assert block.ready, "read before it was written"
            block.readers += 1
            slots.append(block.slot)
        return slots

    def read_done(self, keys: Iterable[bytes]) -> None:
        """These blocks are no longer being read."""
        for key in keys:
            self._blocks[key].readers -= 1
            self._settle(key)

    def drop(self, owner: str) -> None:
        """*owner* wants none of its blocks any more."""
        for key in self._owned.pop(owner, ()):
            self._blocks[key].owners.discard(owner)
            self._settle(key)

    def end_step(self) -> None:
        """What was found and isn't being read may go."""
        found, self._found = self._found, set()
        for key in found:
            self._settle(key)

    def clear(self) -> None:
        """Forget everything, transfers under way too: nobody will report their end."""
        self._blocks.clear()
        self._owned.clear()
        self._found.clear()
        self._receipts.clear()
        self._free = list(range(self.slots - 1, -1, -1))

    def _count(self, receipt: Receipt) -> None:
        receipt.ready += 1
        self._receipts[receipt] = None

    def _settle(self, key: bytes) -> None:
        """Give the slot of *key* back if nobody has a use for it."""
        block = self._blocks.get(key)
        if block is None or block.owners or block.readers or not block.ready or key in self._found:
            return
        del self._blocks[key]
        self._free.append(block.slot)
