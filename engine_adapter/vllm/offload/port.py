"""The runtime's `HostMemory` on vLLM's OffloadingConnector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vllm.v1.core.kv_cache_utils import BlockHash, BlockHashWithGroupId, KVCacheBlock, get_block_hash
from vllm.v1.kv_offload.base import make_offload_key

from engine_adapter.runtime.host import Blocks, HostMemory
from engine_adapter.vllm.offload.connector import SwapConnector
from engine_adapter.vllm.offload.space import Receipt

# The one group of KV blocks that swap works with.
_GROUP = 0
# Owners in host memory: a session's key with the turn that was copied, or that it is foreseen of a turn.
_OF, _FORESEEN = "\0of ", "\0foreseen"

# "out" or "in", tokens, seconds.
Moved = Callable[[str, float, float], None]


class Told(Protocol):
    """Who is told of copies: the runtime's calls."""

    def stored(self, session: str, blocks: int) -> None: ...
    def copy_lost(self, session: str) -> None: ...


class SwapPort:
    """Stores, finds and drops KV of paused sessions. Not thread-safe: all calls come from the scheduler's thread.

    A copy is owned by its session and turn; what is stored of a turn that still runs has an owner of its own, which
    gives way when room is needed for a copy that is decided.
    """

    def __init__(self, connector: SwapConnector, block_tokens: int) -> None:
        self._connector = connector
        self._manager = connector.manager
        self._space = connector.manager.space
        self._block_tokens = block_tokens
        self._copies: dict[str, Receipt] = {}  # by session
        self._told: Told | None = None

    def host_memory(self) -> HostMemory:
        """The port, as the runtime uses it."""
        total_tokens = self._space.slots * self._block_tokens
        return HostMemory(total_tokens, foresee=self.foresee, store=self.store, drop=self.drop)

    def attach(self, told: Told, moved: Moved, token_bytes: float, workers: int) -> None:
        """Report copies to *told*, and to *moved* what was transferred.

        *token_bytes*: KV bytes of a token on one of *workers*, which move their parts at the same time.
        """

        def transferred(out: tuple[int, float], back: tuple[int, float]) -> None:
            for direction, (moved_bytes, seconds) in (("out", out), ("in", back)):
                if moved_bytes:
                    moved(direction, moved_bytes / token_bytes / workers, seconds / workers)

        self._told = told
        self._connector.transferred = transferred
        self._manager.reset = self._lost_all

    @property
    def host_blocks(self) -> int:
        """Blocks in host memory, those on their way and those that are about to go included."""
        return len(self._space)

    def foresee(self, request_id: str, session: str) -> None:
        """Store the blocks of this request as it fills them."""
        self._space.drop(_foreseen(session))  # of a turn before
        self._manager.foreseen[request_id] = _foreseen(session)
        self._connector.offer_again(request_id)

    def store(self, session: str, request_id: str, blocks: Blocks) -> int | None:
        """See `HostMemory.store`."""
        by_key = {_key(block): block for block in blocks}
        keys = list(by_key)
        owner = f"{session}{_OF}{request_id}"
        if not self._make_room(keys, session):
            return None
        written = self._space.take(keys, owner)
        if written:
            self._connector.swap_out([(key, by_key[key].block_id, slot) for key, slot in written])
        copy = self._copies.get(session)
        if copy is None or copy.owner != owner:
            if copy is not None:
                self._space.drop(copy.owner)  # of a turn before: what both have in common stays
            copy = self._copies[session] = Receipt(owner)
        self._space.watch(keys, copy)
        return len(written)

    def drop(self, session: str) -> None:
        """See `HostMemory.drop`."""
        copy = self._copies.pop(session, None)
        if copy is not None:
            self._space.drop(copy.owner)
        self._manager.stop(_foreseen(session))

    def report(self) -> None:
        """Tell of the blocks that have become ready."""
        assert self._told is not None
        for receipt, blocks in self._space.collect():
            session = receipt.owner.rpartition(_OF)[0]
            if self._copies.get(session) is receipt:
                self._told.stored(session, blocks)

    def _make_room(self, keys: list[bytes], session: str) -> bool:
        """Whether all of *keys* fit, once copies of turns that still run have given way."""
        if self._space.fitting(keys) == len(keys):
            return True
        for owner in self._space.owners():
            if owner.endswith(_FORESEEN) and owner != _foreseen(session):
                self._manager.stop(owner)
                if self._space.fitting(keys) == len(keys):
                    return True
        return False

    def _lost_all(self) -> None:
        """Everything was thrown away: the runtime's account is put right."""
        sessions, self._copies = list(self._copies), {}
        for session in sessions:
            assert self._told is not None
            self._told.copy_lost(session)


def _foreseen(session: str) -> str:
    """Owner of what is stored while a turn of *session* runs."""
    return session + _FORESEEN


def _key(block: KVCacheBlock) -> bytes:
    """The key under which vLLM's connector looks for *block*."""
    block_hash: BlockHashWithGroupId | None = block.block_hash
    assert block_hash is not None, "only full blocks are held"
    plain: BlockHash = get_block_hash(block_hash)
    return make_offload_key(plain, _GROUP)
