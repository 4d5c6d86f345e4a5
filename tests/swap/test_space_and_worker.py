"""Random stores, loads and drops: what comes back is byte for byte what went out, and every slot comes back."""

from __future__ import annotations

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from vllm.v1.kv_offload.base import (
    CanonicalKVCacheRef,
    CanonicalKVCaches,
    CanonicalKVCacheTensor,
    GPULoadStoreSpec,
)
from vllm.v1.kv_offload.cpu.common import CPULoadStoreSpec

from engine_adapter.vllm.offload.space import HostSpace, Receipt, State
from engine_adapter.vllm.offload.worker import PortableWorker

SLOTS, ROWS, PAGE = 7, 12, 24
KEYS = [bytes([n]) for n in range(10)]


def content(key: bytes, layer: int) -> torch.Tensor:
    """What a block of *key* holds on a layer: no two alike."""
    return torch.arange(PAGE, dtype=torch.int8) + 10 * key[0] + 3 * layer


def caches() -> CanonicalKVCaches:
    """Two layers; the second's rows lie apart, as where layers share an allocation."""
    plain = torch.zeros((ROWS, PAGE), dtype=torch.int8)
    apart = torch.zeros((ROWS, 2 * PAGE), dtype=torch.int8)[:, :PAGE]
    tensors = [CanonicalKVCacheTensor(tensor, PAGE) for tensor in (plain, apart)]
    return CanonicalKVCaches(tensors, [[CanonicalKVCacheRef(0, PAGE), CanonicalKVCacheRef(1, PAGE)]])


class Swapping(RuleBasedStateMachine):
    """Blocks of ten prefixes, three owners, seven slots. Transfers end when the machine says so."""

    def __init__(self) -> None:
        super().__init__()
        self.caches = caches()
        self.worker = PortableWorker(self.caches, SLOTS)
        self.space = HostSpace(SLOTS)
        self.wanted: dict[str, set[bytes]] = {}
        self.writing: dict[int, list[bytes]] = {}
        self.reading: dict[int, tuple[list[bytes], list[int]]] = {}
        self.ready: set[bytes] = set()
        self.job = 0

    def _spec(self, rows: list[int]) -> GPULoadStoreSpec:
        return GPULoadStoreSpec(rows, group_sizes=[len(rows)], block_indices=[0])

    @rule(keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=5), owner=st.sampled_from("abc"))
    def store(self, keys: list[bytes], owner: str) -> None:
        fitting = self.space.fitting(keys)
        if fitting < len(keys):
            before = (self.space.free, len(self.space))
            with pytest.raises(ValueError, match="no room"):
                self.space.take(keys, owner)
            assert (self.space.free, len(self.space)) == before
            keys = keys[:fitting]
        written = self.space.take(keys, owner)
        self.wanted.setdefault(owner, set()).update(keys)
        if written:
            for row, (key, _) in enumerate(written):
                for layer, entry in enumerate(self.caches.tensors):
                    entry.tensor[row] = content(key, layer)
            self.job += 1
            rows = list(range(len(written)))
            assert self.worker.submit_store(self.job, self._spec(rows), CPULoadStoreSpec([s for _, s in written]))
            self.worker.wait({self.job})
            for entry in self.caches.tensors:
                entry.tensor.zero_()  # the rows go to somebody else
            self.writing[self.job] = [key for key, _ in written]

    @rule(owner=st.sampled_from("abc"))
    def drop(self, owner: str) -> None:
        self.space.drop(owner)
        self.wanted.pop(owner, None)

    @precondition(lambda self: self.writing)
    @rule(data=st.data())
    def written(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.writing)))
        keys = self.writing.pop(job)
        self.space.written(keys)
        self.ready.update(keys)

    @rule(keys=st.lists(st.sampled_from(KEYS), unique=True, max_size=4), dropped=st.sampled_from("-abc"))
    def load(self, keys: list[bytes], dropped: str) -> None:
        """As in a step of vLLM: lookups, whatever the policy does meanwhile, then the load, then the step's end."""
        found = [key for key in keys if self.space.find(key) is State.READY]
        self.drop(dropped)
        slots = self.space.read(found)
        self.space.end_step()
        if found:
            self.job += 1
            rows = [ROWS - 1 - n for n in range(len(found))]
            assert self.worker.submit_load(self.job, CPULoadStoreSpec(slots), self._spec(rows))
            self.worker.wait({self.job})
            for row, key in zip(rows, found, strict=True):
                for layer, entry in enumerate(self.caches.tensors):
                    assert torch.equal(entry.tensor[row], content(key, layer))
            self.reading[self.job] = (found, slots)

    @precondition(lambda self: self.reading)
    @rule(data=st.data())
    def loaded(self, data: st.DataObject) -> None:
        keys, _ = self.reading.pop(data.draw(st.sampled_from(sorted(self.reading))))
        self.space.read_done(keys)

    @rule()
    def clear(self) -> None:
        self.space.clear()
        self.wanted.clear()
        self.writing.clear()
        self.reading.clear()

    @invariant()
    def the_account_is_right(self) -> None:
        wanted = set().union(*self.wanted.values())
        coming = {key for keys in self.writing.values() for key in keys}
        read = {key for keys, _ in self.reading.values() for key in keys}
        assert len(self.space) == SLOTS - self.space.free == len(wanted | coming | read)
        for key in KEYS:
            expected = State.COMING if key in coming else State.READY
            assert self.space.find(key) is (expected if key in wanted else State.MISSING)
        self.space.end_step()
        assert {result.job_id for result in self.worker.get_finished()} <= set(range(self.job + 1))

    def teardown(self) -> None:
        for owner in "abc":
            self.space.drop(owner)
        for keys in self.writing.values():
            self.space.written(keys)
        for keys, _ in self.reading.values():
            self.space.read_done(keys)
        assert (self.space.free, len(self.space)) == (SLOTS, 0)
        self.worker.shutdown()


Swapping.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSwapping = Swapping.TestCase


def test_a_receipt_counts_each_block_once_when_it_is_ready() -> None:
    space = HostSpace(4)
    space.take(KEYS[:2], "a")
    space.written(KEYS[:1])
    receipt = Receipt("a")
    space.watch(KEYS[:2], receipt)
    assert space.has_news
    assert space.collect() == [(receipt, 1)]
    assert not space.has_news
    space.written(KEYS[1:2])
    assert space.collect() == [(receipt, 1)]
    assert space.collect() == []


def test_what_is_found_stays_until_the_end_of_the_step_whoever_drops_it() -> None:
    space = HostSpace(1)
    [(key, slot)] = space.take(KEYS[:1], "a")
    space.written([key])
    assert space.find(key) is State.READY
    space.drop("a")
    assert space.fitting(KEYS[1:2]) == 0
    assert space.read([key]) == [slot]
    space.end_step()
    assert space.fitting(KEYS[1:2]) == 0
    space.read_done([key])
    assert space.fitting(KEYS[1:2]) == 1


def test_a_worker_says_how_much_it_moved_and_how_long_that_took() -> None:
    worker = PortableWorker(caches(), SLOTS)
    spec = GPULoadStoreSpec([3, 5], group_sizes=[2], block_indices=[0])
    worker.submit_store(4, spec, CPULoadStoreSpec([0, 6]))
    worker.wait({4, 99})
    [result] = worker.get_finished()
    assert (result.job_id, result.success, result.transfer_size) == (4, True, 2 * 2 * PAGE)
    assert result.transfer_time is not None and result.transfer_time > 0.0
    assert worker.get_finished() == []
    worker.shutdown()
