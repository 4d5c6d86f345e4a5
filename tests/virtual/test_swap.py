"""Swap in virtual time: what is stored is found again, and moving it takes its time beside the steps."""

from __future__ import annotations

from pathlib import Path

import pytest
from vllm.distributed.kv_transfer.kv_connector.v1.offloading.common import OffloadingConnectorMetadata, TransferJob
from vllm.v1.kv_offload.base import GPULoadStoreSpec
from vllm.v1.kv_offload.cpu.common import CPULoadStoreSpec

from engine_adapter.virtual.simulate import Measured, simulate
from engine_adapter.virtual.transfers import Transfers
from engine_adapter.workload.load import Load
from engine_adapter.workload.trace import Trace
from tests.virtual.small import profile, session, simulation

SWAP_ALL = """lamps 1
policy out "swap everything, whoever waits"
rank request.arrival
on call swap
"""
HOST = {"swap_token_s": 1e-5, "host_bytes": 64e6}


def served(folder: Path, given: Trace | None = None, **changes: object) -> Measured:
    (folder / "p.lamps").write_text(SWAP_ALL)
    chosen = {} if given is None else {"trace": given, "load": Load(rate=4.0, seed=3)}
    found = simulate(simulation(str(folder / "p.lamps"), profile=profile(**changes), **chosen))
    assert found.ended == "finished"
    return found


@pytest.mark.parametrize("ahead", [False, True])
def test_what_was_swapped_is_not_computed_again(ahead: bool, tmp_path: Path) -> None:
    found = served(tmp_path, async_scheduling=ahead, **HOST)
    counters = found.counters
    assert {turn.handling for s in found.result.sessions for turn in s.turns} == {"swap", None}
    # Of each of the 60 follow-ups the block that wasn't full when the turn before ended: up to 15 tokens.
    assert counters["recomputed_after_call"] < 60 * 16
    assert counters["runtime.transfers.tokens_in"] > 9_000
    for way in ("in", "out"):
        tokens = counters[f"runtime.transfers.tokens_{way}"]
        assert counters[f"runtime.transfers.us_{way}"] == pytest.approx(10 * tokens, rel=1e-6)


def test_without_host_memory_the_same_policy_discards(tmp_path: Path) -> None:
    found = served(tmp_path)
    assert {turn.handling for s in found.result.sessions for turn in s.turns} == {"discard", None}
    assert "runtime.transfers.tokens_in" not in found.counters


def test_the_first_token_waits_for_the_load(tmp_path: Path) -> None:
    """One session is away for 20 s while others take all blocks; its 320 tokens come back at a tenth of the speed."""
    crowd = [session(f"crowd{n}", (800, 4), (20, 4), (20, 4), gap_s=5.0) for n in range(5)]
    away = Trace("away", (session("away", (320, 2), (20, 2), gap_s=20.0), *crowd))

    def wait_s(token_s: float) -> float:
        found = served(tmp_path, away, swap_token_s=token_s, host_bytes=64e6)
        [turns] = [s.turns for s in found.result.sessions if len(s.turns) == 2]
        assert turns[1].first_token_s is not None
        assert turns[1].cached_tokens == 320
        return turns[1].first_token_s - turns[1].due_s

    assert wait_s(1e-3) - wait_s(1e-4) == pytest.approx(320 * 9e-4, abs=0.002)  # a step begins up to 1 ms later


def test_host_memory_too_small_for_all_holds_what_fits(tmp_path: Path) -> None:
    found = served(tmp_path, swap_token_s=1e-5, host_bytes=20 * 4096)
    handlings = [turn.handling for s in found.result.sessions for turn in s.turns]
    assert handlings.count("swap") > 0 and handlings.count("discard") > 0


def test_host_memory_needs_a_speed() -> None:
    with pytest.raises(ValueError, match="host_bytes needs swap_token_s"):
        profile(host_bytes=1e9)


def job(blocks: int, request_id: str = "") -> TransferJob:
    device, host = GPULoadStoreSpec([*range(blocks)], [blocks], [0]), CPULoadStoreSpec([*range(blocks)])
    return TransferJob(request_id, *((host, device) if request_id else (device, host)))


def test_transfers_of_one_direction_follow_each_other_and_the_other_runs_beside_them() -> None:
    moving = Transfers(token_s=0.001, block_tokens=10, token_bytes=4)
    assert moving.begin(OffloadingConnectorMetadata({3: job(1, "r")}, {1: job(2), 2: job(1)}), now=1.0) == 1.0
    assert moving.next_end_s(1.0) == 1.0  # the stores begin with the next step
    nothing = OffloadingConnectorMetadata({}, {})
    assert moving.begin(nothing, now=1.005) == 1.005
    assert moving.next_end_s(1.005) == pytest.approx(1.01)
    done = moving.ended(1.011)
    assert done is not None and done.finished_recving == {"r"}
    done = moving.ended(1.026)
    assert done is not None and done.kv_connector_worker_meta.completed_jobs == {1: 1}
    assert done.kv_connector_worker_meta.transfer_stats.store.bytes == 80
    assert done.kv_connector_worker_meta.transfer_stats.store.time == pytest.approx(0.02)
    assert moving.ended(1.03) is None
    assert moving
    moving.ended(1.036)
    assert not moving


def test_a_step_that_writes_to_blocks_not_yet_copied_waits_for_the_copy() -> None:
    moving = Transfers(token_s=0.001, block_tokens=10, token_bytes=4)
    moving.begin(OffloadingConnectorMetadata({}, {1: job(2)}), now=1.0)
    flushed = OffloadingConnectorMetadata({}, {2: job(1)}, jobs_to_flush={1, 2})
    assert moving.begin(flushed, now=1.1) == pytest.approx(1.13)
