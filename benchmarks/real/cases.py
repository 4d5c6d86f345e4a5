"""What docs/results.md is made of: questions, each a trace on a model, at loads, under systems.

Two kinds of engines: the small model with random weights on a processor, short of memory on purpose, so that
scheduling is what differs; and with `MODEL=...` whatever model and device the reader has, as vLLM sets it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import policies
from engine_adapter.workload.load import Load
from engine_adapter.workload.result import Prompts
from engine_adapter.workload.trace import load_trace
from lamps_cli.measuring.asked import Asked, Point, System, points_of
from policy_dsl.compiled import compile_policy
from policy_dsl.loading import load

SEEDS = (1, 2, 3)
# 16k tokens of KV: about a quarter of what 200 sessions of augmented-single hold when they all run.
SHORT_OF_MEMORY = ("--block-size", "32", "--num-gpu-blocks-override", "512", "--max-num-seqs", "64")
# The same for a model with weights, on a processor: room for four of the longest of 16.
TEXT_SHORT_OF_MEMORY = ("--block-size", "32", "--num-gpu-blocks-override", "256", "--max-num-seqs", "16")
# Of coding agents' prompts: room for some 13 of 3,700 tokens. The small model says 8,192 of itself; it has no weights
# that would mind more.
PROMPTS_SHORT_OF_MEMORY = (
    *("--hf-overrides", '{"max_position_embeddings": 28672}'),
    *("--block-size", "32", "--num-gpu-blocks-override", "1536", "--max-num-seqs", "64"),
)
# Host memory for stock's own offload, GiB: all that its sessions ever hold.
OFFLOAD = ("--kv-offloading-size", "1", "--kv-offloading-backend", "native")
# By what each is for: the engine as it is, its offload, orders, handlings, both.
SYSTEMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "stock": ("stock", ()),
    "stock-offload": ("stock", OFFLOAD),
    "fcfs": ("fcfs", ()),
    "sjf": ("sjf", ()),
    "srpt_aged": ("srpt_aged", ()),
    "infercept": ("infercept", ()),
    "mars": ("mars", ()),
    "lamps": ("lamps", ()),
    "bounded_tail": ("bounded_tail", ()),
    "continuum": ("continuum", ()),
}
# vLLM's own offload refuses the CPU platform: the worker of 0.32.0 ends while the server starts.
ON_A_PROCESSOR = tuple(name for name in SYSTEMS if name != "stock-offload")


@dataclass(frozen=True, slots=True)
class Question:
    """One part of the page. *longest*: --max-model-len that *model* is given, beside *flags*. *elsewhere*: the load for
    a model of the reader's own, whose tools take their full time. *points*: those first that say most. *warm_up*:
    sessions before each run that aren't counted."""

    name: str
    title: str
    trace: str
    longest: int
    load: Load
    elsewhere: Load
    points: tuple[Point, ...]
    model: str = "random"
    flags: tuple[str, ...] = SHORT_OF_MEMORY
    prompts: Prompts = "tokens"
    warm_up: int = 30

    def asked(self, systems: tuple[str, ...], model: str | None = None, flags: tuple[str, ...] = ()) -> Asked:
        """The comparison, on *model* with *flags* of its server, else on the small one."""
        small = ("--max-model-len", str(self.longest), *self.flags)
        return Asked(
            systems=tuple(map(_system, systems)),
            trace=load_trace(self.trace),
            load=self.load if model is None else self.elsewhere,
            points=self.points,
            seeds=SEEDS,
            model=model or self.model,
            flags=small if model is None else flags,
            # Of text nobody says what it will do: calls are found in the answers.
            hints="tool" if self.prompts == "tokens" else "none",
            prompts=self.prompts,
            warm_up=self.warm_up,
        )


def questions() -> tuple[Question, ...]:
    """All of them, those first that say most."""
    # Well above and below first: where there is something to win, and where little may be lost.
    loads = points_of("load", [1.5, 0.9, 1.1, 0.5])
    # Tools at 0.3 of their time, so that a run takes two minutes. Sessions for a minute of arrivals: a queue grows
    # only while they come, and with a third of them stock's queue at 1.5 was a matter of chance.
    quick = Load(sessions=1200, gap_scale=0.3, replacement=True)
    # 3,700 tokens a turn in the mean. And 63 turns a session, so pauses are cut short: a run is to take minutes.
    agentic = Load(sessions=40, gap_scale=0.1, max_gap_s=0.5, length_scale=0.03)
    # Tools at 0.1 of theirs: sessions of several calls take five minutes, some of them.
    several = Load(sessions=900, gap_scale=0.1, replacement=True)
    return (
        Question("single", "One call a session", "augmented-single", 2304, quick, Load(), loads),
        Question("multi", "Several calls a session", "augmented-multi", 2304, several, Load(), loads),
        Question(
            "agentic",
            "Coding agents",
            "agentic-coding",
            28672,
            agentic,
            Load(sessions=150, length_scale=1 / 16, max_gap_s=60.0),
            points_of("clients", [32, 8, 16, 64]),
            flags=PROMPTS_SHORT_OF_MEMORY,
            warm_up=4,
        ),
        Question(
            "text",
            "Real text, SmolLM2-135M",
            "augmented-multi",
            2048,
            Load(sessions=64, gap_scale=0.1, max_gap_s=5.0, length_scale=0.5),
            Load(),
            points_of("clients", [32, 8, 16]),
            "smollm2",
            TEXT_SHORT_OF_MEMORY,
            "text",
        ),
    )


@cache
def _system(name: str) -> System:
    policy, flags = SYSTEMS[name]
    return System(name, policy, flags=flags, revision="" if policy == "stock" else _revision(policy))


def _revision(policy: str) -> str:
    loaded = load(policies.find(policy))
    assert loaded.policy is not None, policy
    return compile_policy(loaded.policy, loaded.source, {}).revision
