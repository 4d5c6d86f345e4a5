"""A program: a real vLLM engine with the small random model, under a policy, recorded while agents use it.

`python agentic_run.py POLICY FILE ...`: for each pair one engine in this process, short of KV memory and of seats, and
one record. Sessions call tools and come back, some clients go, some verdicts come late or never.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "HF_HUB_OFFLINE": "1"}
os.environ |= {"VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
# The model is so small that threads only wait for each other, long where the machine is shared.
os.environ |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}

from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.llm_engine import LLMEngine

from engine_adapter.vllm import models
from engine_adapter.vllm.compat_api import SCHEDULER

SESSIONS = 20
TURNS = 3
MOST_STEPS = 5000


def engine_for(policy: str, record: str) -> LLMEngine:
    """26 blocks of 32 tokens: the longest context takes more than half of them, and eight requests may run."""
    return LLMEngine.from_engine_args(
        EngineArgs(
            model=str(models.embedded("random")),
            enforce_eager=True,
            max_model_len=512,
            max_num_seqs=8,
            max_num_batched_tokens=512,
            block_size=32,
            num_gpu_blocks_override=26,
            scheduler_cls=SCHEDULER,
            additional_config={"lamps": {"policy": policy, "record": record}},
        )
    )


class Agents:
    """Sessions that call tools: each turn repeats the last one, as far as the engine answered, with more behind it."""

    def __init__(self, engine: LLMEngine, seed: int) -> None:
        self._engine = engine
        self._chance = random.Random(seed)
        self._due: list[tuple[int, str, int, list[int]]] = []  # at which step, session, turn, prompt
        self._steps = 0
        self._running: dict[str, tuple[str, int, list[int], float]] = {}
        for n in range(SESSIONS):
            self._due.append((self._chance.randrange(80), f"s{n}", 0, self._words(self._chance.randrange(20, 200))))

    def run(self) -> None:
        """Until every session has ended or its client has gone. Time is counted in steps: machines differ in speed."""
        while self._due or self._running:
            if not self._running:
                self._steps = max(self._steps, min(due[0] for due in self._due))
                time.sleep(0.002)
            for due in [due for due in self._due if due[0] <= self._steps]:
                self._due.remove(due)
                self._send(*due)
            self._abort_some()
            for output in self._engine.step():
                if output.finished and output.request_id in self._running:
                    self._answered(output.request_id, list(output.outputs[0].token_ids))
            self._steps += 1
            assert self._steps < MOST_STEPS

    def _send(self, _: int, session: str, turn: int, prompt: list[int]) -> None:
        name = f"{session}/{turn}"
        marks: dict[str, Any] = {"lamps_turn": name, "lamps_may_call": 1}
        if int(session[1:]) % 2:  # every other session is known by its prefix alone
            marks["session_id"] = session
        params = SamplingParams(
            max_tokens=self._chance.randrange(20, 80), ignore_eos=True, temperature=0.0, extra_args=marks
        )
        self._engine.add_request(name, {"prompt_token_ids": prompt}, params)
        self._running[name] = (session, turn, prompt, self._chance.random())

    def _abort_some(self) -> None:
        """Clients go in the middle: one in ten, two of them at once where there are two."""
        gone = [name for name, (_, _, _, fate) in self._running.items() if fate < 0.1 and self._chance.random() < 0.1]
        if gone:
            self._engine.abort_request(gone)
        for name in gone:
            del self._running[name]
            self._verdict(name, "gone")

    def _answered(self, name: str, answer: list[int]) -> None:
        session, turn, prompt, fate = self._running.pop(name)
        last = turn + 1 == TURNS
        if fate < 0.9:  # else nobody says how it ended
            self._verdict(name, "end" if last else "call")
        follow_up = [*prompt, *answer, *self._words(20)]
        if not last and len(follow_up) < 430:
            self._due.append((self._steps + self._chance.choice([1, 5, 50]), session, turn + 1, follow_up))

    def _verdict(self, turn: str, outcome: str) -> None:
        tools = [self._chance.choice(["search", "python"])] if outcome == "call" else []
        payload = json.dumps({"turn": turn, "outcome": outcome, "tools": tools})
        assert self._engine.engine_core.engine_core.lamps_command("verdict", payload) == "{}"

    def _words(self, count: int) -> list[int]:
        return [self._chance.randrange(100, 40_000) for _ in range(count)]


def main(words: list[str]) -> None:
    for policy, record in zip(words[::2], words[1::2], strict=True):
        engine = engine_for(policy, record)
        Agents(engine, seed=7).run()
        engine.engine_core.shutdown()


if __name__ == "__main__":
    main(sys.argv[1:])
