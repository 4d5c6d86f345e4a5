"""A program: one session on a real vLLM engine, in this process, under each policy: `python resumed_run.py POLICY...`

Three turns with a call between them, during which others take every block that nobody holds. Prints a line of JSON for
each policy: what of each follow-up's prompt the turn before had computed, what of that vLLM found or loaded, answers.
"""

from __future__ import annotations

import json
import os
import sys

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
os.environ |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
os.environ |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}

from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.llm_engine import LLMEngine

from engine_adapter.vllm import models
from engine_adapter.vllm.compat_api import SCHEDULER, kv_transfer
from engine_adapter.vllm.offload.config import kv_transfer_config

BLOCK = 32
HOST_BYTES = 64 << 20


def engine_for(policy: str) -> LLMEngine:
    """26 blocks: the session needs nine at most, each of the others ten."""
    return LLMEngine.from_engine_args(
        EngineArgs(
            model=str(models.embedded("random")),
            dtype="float32",
            enforce_eager=True,
            max_model_len=512,
            max_num_seqs=8,
            max_num_batched_tokens=512,
            block_size=BLOCK,
            num_gpu_blocks_override=26,
            scheduler_cls=SCHEDULER,
            additional_config={"lamps": {"policy": policy}},
            kv_transfer_config=kv_transfer(kv_transfer_config(HOST_BYTES)),
        )
    )


def ask(engine: LLMEngine, name: str, prompt: list[int], output: int, **marks: object) -> tuple[list[int], int]:
    """The answer's tokens, and how many of the prompt's were found or loaded."""
    params = SamplingParams(max_tokens=output, ignore_eos=True, temperature=0.0, extra_args=dict(marks))
    engine.add_request(name, {"prompt_token_ids": prompt}, params)
    while True:
        for found in engine.step():
            if found.finished and found.request_id == name:
                return list(found.outputs[0].token_ids), found.num_cached_tokens or 0


def session(engine: LLMEngine) -> dict[str, object]:
    known: list[int] = []
    lines: list[tuple[int, int]] = []
    # What a turn has computed ends with a block: its last token is never computed, and a part of a block is not found.
    for turn, (more, output) in enumerate(((200, 25), (20, 12), (20, 13))):
        prompt = [*known, *(100 + 1000 * turn + i * 17 % 900 for i in range(more))]
        answer, cached = ask(engine, f"turn{turn}", prompt, output, session_id="s", lamps_call_tool="search")
        if turn:
            lines.append((len(known) - 1, cached))
        known = [*prompt, *answer]
        for n in range(3):
            other = [5000 + 7919 * (3 * turn + n) % 20_000 + i * 31 % 9_000 for i in range(300)]
            ask(engine, f"other{turn}.{n}", other, 4)
    return {"computed": [a for a, _ in lines], "found": [b for _, b in lines], "tokens": known}


def main(policies: list[str]) -> None:
    for policy in policies:
        engine = engine_for(policy)
        print(json.dumps(session(engine)), flush=True)
        engine.engine_core.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
