"""The load fits the engine it is made for, whatever that is."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine_adapter.control.steps import About
from engine_adapter.profiling.phases import WARM_UP, TooSmall, phases
from tests.profiling.made import ABOUT


def about(block_size: int, blocks: int, seats: int, chunk: int, longest: int) -> About:
    return msgspec.structs.replace(
        ABOUT, block_size=block_size, kv_blocks=blocks, max_num_seqs=seats,
        max_num_batched_tokens=max(chunk, seats), max_model_len=longest,
    )  # fmt: skip


@given(
    st.sampled_from([1, 16, 32, 128]), st.integers(1, 20_000), st.integers(1, 512), st.integers(1, 16_384),
    st.integers(1, 131_072),
)  # fmt: skip
def test_every_request_fits(block_size: int, blocks: int, seats: int, chunk: int, longest: int) -> None:
    engine = about(block_size, blocks, seats, chunk, longest)
    if engine.longest < 64:
        with pytest.raises(TooSmall, match="too little KV memory"):
            phases(engine)
        return
    made = phases(engine)
    assert made[0].kind == WARM_UP
    for phase in made:
        assert phase.clients >= 1 and phase.jobs
        for job in phase.jobs:
            assert job.prompt >= 1 and job.output >= 1 and job.prompt + job.output <= engine.longest
        if phase.kind == "decode":
            assert phase.clients == len(phase.jobs) <= seats
            used = sum(-(-(job.prompt + job.output) // block_size) for job in phase.jobs)
            assert used <= blocks


def test_kinds_come_in_turn_and_batches_go_up_to_all_seats() -> None:
    made = phases(ABOUT)
    assert {phase.kind for phase in made[1:4]} == {"prefill", "decode", "mixed"}
    assert max(phase.clients for phase in made if phase.kind == "decode") == ABOUT.max_num_seqs
    assert max(job.prompt for phase in made if phase.kind == "prefill" for job in phase.jobs) > 1000
    assert made == phases(ABOUT)
