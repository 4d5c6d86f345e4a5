"""Steps of engines whose times are known."""

from __future__ import annotations

import random

import msgspec

from engine_adapter.control.steps import About, Step
from engine_adapter.profiling.fit import predicted_s
from engine_adapter.virtual.profile import StepTimes

ABOUT = About(
    identity={"model": "tiny", "device": "a processor", "dtype": "bfloat16", "vllm": "vllm 0.0"},
    block_size=32,
    token_bytes=512,
    kv_blocks=512,
    max_num_seqs=64,
    max_num_batched_tokens=2048,
    max_model_len=2304,
    async_scheduling=False,
)


def steps(times: StepTimes, count: int, seed: int = 0, noise: float = 0.0) -> list[Step]:
    """Steps of all kinds; *noise*: the deviation of a factor on their times."""
    draw = random.Random(seed)
    made = []
    for n in range(count):
        kind = n % 3
        prefill = draw.randint(2, 1500) if kind != 1 else 0
        decoding = draw.randint(1, 64) if kind != 0 else 0
        step = Step(
            prefill_tokens=prefill,
            prefill_seqs=draw.randint(1, 8) if prefill else 0,
            prefill_area=prefill * draw.uniform(1, 2000),
            decode_seqs=decoding,
            context_tokens=decoding * draw.randint(20, 2000),
            step_s=0.0,
            came=draw.randint(0, 6),
            woke=kind == 0 and draw.random() < 0.5,
        )
        whole_s = predicted_s(times, step) * draw.lognormvariate(-noise * noise / 2, noise)
        gap_s = whole_s * draw.uniform(0, 0.3)
        made.append(msgspec.structs.replace(step, step_s=whole_s - gap_s, gap_s=gap_s))
    return made
