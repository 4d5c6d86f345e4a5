"""The steps of a server's engines as it tells of them: what each computed, and how long it took."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from engine_adapter.control.client import Unreachable, base_url, fetch_text

STEPS_PATH = "/lamps/steps"


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One step. *prefill_area*: the tokens before each prefilled one, summed (tok^2). *context_tokens*: of the decoding
    sequences together. *gap_s*: the engine's own time since the step before, 0 where it was idle.

    *came*: requests that came or ended since then, one that did both counts twice; 0 where it was idle. *turns*: that
    ended with this step, and *turns_s*, their times in the engine together. *woke*: the engine was idle before it.
    """

    prefill_tokens: int
    prefill_seqs: int
    prefill_area: float
    decode_seqs: int
    context_tokens: int
    step_s: float
    gap_s: float = 0.0
    came: int = 0
    turns: int = 0
    turns_s: float = 0.0
    woke: bool = False

    @property
    def whole_s(self) -> float:
        """What the step added to the engine's time."""
        return self.step_s + self.gap_s


class About(msgspec.Struct, frozen=True):
    """An engine. *identity*: what its times depend on, in words. *token_bytes*: KV bytes of one token."""

    identity: dict[str, str]
    block_size: int
    token_bytes: int
    kv_blocks: int
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int
    async_scheduling: bool

    @property
    def kv_tokens(self) -> int:
        return self.kv_blocks * self.block_size

    @property
    def longest(self) -> int:
        """Most tokens of one request."""
        return min(self.max_model_len, self.kv_tokens)


class EngineSteps(msgspec.Struct, frozen=True):
    """Of one engine: the *number* of its last step, steps that were *missed*, its clock *now* (s)."""

    engine: str
    about: About
    number: int
    missed: int = 0
    now: float = 0.0
    steps: tuple[Step, ...] = ()


class _Steps(msgspec.Struct):
    engines: tuple[EngineSteps, ...]


def fetch_steps(
    url: str, key: str | None = None, since: Mapping[str, int] | None = None, timeout_s: float = 10.0
) -> tuple[EngineSteps, ...]:
    """The steps of each engine of the server at *url* after those *since* (their numbers by engine); none yet of an
    engine that isn't in it, but from now on they are kept. Raises `Unreachable`.
    """
    asked = [f"{engine}:{number}" for engine, number in (since or {}).items()]
    text = fetch_text(url, STEPS_PATH, key, timeout_s, since=asked)
    try:
        return msgspec.json.decode(text, type=_Steps).engines
    except msgspec.DecodeError as problem:
        raise Unreachable(f"{base_url(url)} sent something else than steps: {problem}") from problem
