"""The load that an engine is measured under: from one request alone to more than it has seats.

Each phase is a closed loop of clients that share a list of requests. Prompts of one request alone tell prefill from
what lies outside the engine; many that start together and generate alike tell decode by batch and context; a mixture
tells what a step costs that does both, and what a request costs the engine by coming and going.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from engine_adapter.control.steps import About

# Steps of decode in a cell of batch and context: enough for a mean, few enough for sixty cells in a minute.
_DECODED = 48
_CONTEXTS = (32, 256, 1024)
_SHORTEST, _LONGEST = 16, 8192
_ALONE = 4  # times each length of prompt
# KV memory that a phase may need: past it requests would be preempted, and the cell no longer be what it says.
_MEMORY = 0.9
WARM_UP = "warm-up"


class TooSmall(Exception):
    """An engine with too little memory to be measured. The message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request, in tokens."""

    prompt: int
    output: int


@dataclass(frozen=True, slots=True)
class Phase:
    """*kind*: "prefill", "decode", "mixed" or WARM_UP. *clients*: requests that are under way at once."""

    kind: str
    jobs: tuple[Job, ...]
    clients: int


def phases(about: About, seed: int = 0) -> tuple[Phase, ...]:
    """All phases for an engine, after the warm-up kinds in turn: whatever is cut off, each has its part.

    Raises TooSmall.
    """
    if about.longest < 4 * _SHORTEST:
        raise TooSmall(f"the engine holds {about.longest} tokens of a request: too little KV memory to measure")
    warm_up = Phase(WARM_UP, tuple(Job(min(200, about.longest // 2), 8) for _ in range(8)), 4)
    kinds = (_prefill(about), _decode(about), _mixed(about, random.Random(f"{seed}/profile")))
    return (warm_up, *(phase for group in zip_longest(*kinds) for phase in group if phase is not None))


def _prefill(about: About) -> Iterator[Phase]:
    """Prompts alone, of lengths that double; then several short ones at once."""
    length, longest = _SHORTEST, min(about.longest - 1, _LONGEST)
    while length <= longest:
        yield Phase("prefill", (Job(length, 1),) * _ALONE, 1)
        length *= 2
    for together in (4, 16):
        each = min(about.max_num_batched_tokens // together, about.longest // 2)
        if together <= about.max_num_seqs and together * each <= _MEMORY * about.kv_tokens and each > 1:
            yield Phase("prefill", (Job(each, 1),) * (2 * together), together)


def _decode(about: About) -> Iterator[Phase]:
    """Batches that double, at each context that memory has room for."""
    batches = [2**power for power in range(int(math.log2(about.max_num_seqs)) + 1)]
    if batches[-1] < about.max_num_seqs:
        batches.append(about.max_num_seqs)
    for batch in batches:
        for context in _CONTEXTS:
            whole = context + _DECODED
            blocks = batch * math.ceil(whole / about.block_size)
            if whole <= about.longest and blocks <= _MEMORY * about.kv_blocks:
                yield Phase("decode", (Job(context, _DECODED),) * batch, batch)


def _mixed(about: About, draw: random.Random) -> Iterator[Phase]:
    """Requests of all sizes that follow one another, up to as many clients as there are seats."""
    most = min(about.longest // 2, 2048)
    for clients in dict.fromkeys(max(about.max_num_seqs // part, 2) for part in (16, 8, 4, 2, 1)):
        jobs = tuple(
            Job(_between(draw, _SHORTEST, most), min(_between(draw, 4, 256), about.longest - most))
            for _ in range(max(6 * clients, 40))
        )
        yield Phase("mixed", jobs, clients)


def _between(draw: random.Random, low: int, high: int) -> int:
    """A length; those of each order of magnitude are as likely."""
    return round(math.exp(draw.uniform(math.log(low), math.log(max(high, low)))))
