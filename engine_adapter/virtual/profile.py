"""Profiles: the engine that virtual time stands for, its memory, its limits and what a step of it takes.

A profile is a YAML file with its sources beside the numbers. Three ship with lamps, others are paths; what is wrong
with one is said by field, since people write them by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine_adapter.virtual.provenance import Fit, Identity
from policy_dsl.names import nearest

Seconds = Annotated[float, Field(ge=0.0, le=3600.0, allow_inf_nan=False)]
Bytes = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=100_000_000)]


class ProfileError(Exception):
    """A profile that can't be used. The message is a sentence for the user."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Memory(_Strict):
    """What is left for KV: *share* of the device's bytes, less weights and what the engine needs beside them."""

    device_bytes: Bytes
    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    weights_bytes: Bytes
    other_bytes: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0

    @property
    def kv_bytes(self) -> float:
        return self.device_bytes * self.share - self.weights_bytes - self.other_bytes


class StepTimes(_Strict):
    """What a step takes, in seconds: a sum of terms, each of which may be left out.

    step + max(floor, token * (prefilled + decoding)) + prefill_token * prefilled + prefill_context * area
    + decode_seq * decoding + context_token * context + prefill_seq * prefilling + request * came / 2, and wake where
    the engine was idle before, with *area* the tokens before each prefilled one, summed (tok^2), *context* the tokens
    of the decoding sequences together, *prefilling* the requests that prefill something, and *came* those that came or
    ended since the step before.
    """

    step_s: Seconds = 0.0
    """Of every step, whatever is in it."""
    floor_s: Seconds = 0.0
    """Least time of the arithmetic: reading the weights once. Below it more tokens cost nothing."""
    token_s: Seconds = 0.0
    """Per token of the batch, prefilled or decoded, where that exceeds the floor."""
    prefill_token_s: Seconds = 0.0
    prefill_context_s: Seconds = 0.0
    """Per token^2: attention of a prefilled token to one before it."""
    decode_seq_s: Seconds = 0.0
    context_token_s: Seconds = 0.0
    """Attention of a decoding sequence to one token of its context."""
    prefill_seq_s: Seconds = 0.0
    """Per request of which a step prefills something."""
    request_s: Seconds = 0.0
    """Of the engine's time, for each request: half of it where it comes, half where it ends."""
    wake_s: Seconds = 0.0
    """Of a step that an idle engine begins with."""

    @model_validator(mode="after")
    def _takes_time(self) -> Self:
        if self.step_s + self.floor_s <= 0.0:
            raise ValueError("a step must take time: step_s or floor_s above 0")
        return self

    def of(self, prefilled: int, area: float, decoding: int, context: int) -> float:
        """Time of one step without what is `beside` its tokens, seconds."""
        return (
            self.step_s
            + max(self.floor_s, self.token_s * (prefilled + decoding))
            + self.prefill_token_s * prefilled
            + self.prefill_context_s * area
            + self.decode_seq_s * decoding
            + self.context_token_s * context
        )

    def beside(self, prefilling: int, came: int, woke: bool) -> float:
        """What is to be added for the requests themselves, and where the engine was idle before, seconds."""
        return self.prefill_seq_s * prefilling + self.request_s * came / 2 + (self.wake_s if woke else 0.0)


class Profile(_Strict):
    """One engine. KV memory is given as *kv_tokens*, *kv_blocks* or *memory*, one of the three."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    title: str
    source: str
    """Where the numbers are from; what was measured, what derived and how."""
    block_size: Annotated[int, Field(gt=0, le=4096)] = 16
    token_bytes: Annotated[int, Field(gt=0, multiple_of=4)]
    """KV bytes of one token, over all layers."""
    kv_tokens: Count | None = None
    kv_blocks: Count | None = None
    memory: Memory | None = None
    max_num_seqs: Count = 256
    max_num_batched_tokens: Count = 2048
    max_model_len: Count = 4096
    async_scheduling: bool = True
    step: StepTimes
    swap_token_s: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """To move one token's KV to host memory, or back; None where nobody has measured it."""
    host_bytes: Bytes | None = None
    """Host memory for swapped KV; without it nothing is swapped."""
    overhead_s: Seconds = 0.0
    """Of a request in the server in front of the engine, which handles one after the other: HTTP, tokenising."""
    overhead_token_s: Seconds = 0.0
    """The same, for each token of its prompt."""
    engine: Identity | None = None
    """Which engine was measured; None where none was."""
    fit: Fit | None = None

    @model_validator(mode="after")
    def _has_memory(self) -> Self:
        if sum(given is not None for given in (self.kv_tokens, self.kv_blocks, self.memory)) != 1:
            raise ValueError("the KV memory is given once: as kv_tokens, kv_blocks or memory")
        if self.blocks < 1:
            raise ValueError("no KV memory is left: less than one block")
        if self.host_bytes is not None and self.swap_token_s is None:
            raise ValueError("host_bytes needs swap_token_s: what it takes to move a token there")
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise ValueError(
                f"max_num_batched_tokens ({self.max_num_batched_tokens}) is less than max_num_seqs"
                f" ({self.max_num_seqs}): every running request needs a token of each step"
            )
        return self

    @property
    def blocks(self) -> int:
        """KV blocks that requests can use."""
        if self.kv_blocks is not None:
            return self.kv_blocks
        if self.memory is not None:
            return int(self.memory.kv_bytes // (self.token_bytes * self.block_size))
        return (self.kv_tokens or 0) // self.block_size

    @property
    def longest(self) -> int:
        """Most tokens of one request, prompt and output: what the engine allows, or what its memory holds."""
        return min(self.max_model_len, self.blocks * self.block_size)


_PARTS: dict[str, type[BaseModel]] = {"step": StepTimes, "memory": Memory, "engine": Identity, "fit": Fit}


def shipped() -> dict[str, Any]:
    """Shipped profiles by name: files as importlib.resources gives them."""
    folder = files("engine_adapter.virtual") / "profiles"
    found = {entry.name.removesuffix(".yaml"): entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return dict(sorted(found.items()))


def load_profile(name_or_path: str | Path) -> Profile:
    """The shipped profile of that name, or the file at that path. Raises ProfileError."""
    text = str(name_or_path)
    known = shipped()
    if text in known:
        return _parse(text, known[text].read_bytes())
    try:
        return _parse(text, Path(text).read_bytes())
    except FileNotFoundError:
        near = nearest(text, known)
        hint = f"did you mean {near[0]}?" if near else f"shipped profiles are {', '.join(known)}"
        raise ProfileError(f"no profile and no file is named {text}: {hint}") from None
    except OSError as error:
        raise ProfileError(f"can't read {text}: {error.strerror}") from None


def _parse(name: str, data: bytes) -> Profile:
    try:
        document = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProfileError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, Mapping):
        raise ProfileError(f"{name} is not a profile: a mapping of fields is expected")
    try:
        return Profile.model_validate(dict(document))
    except ValidationError as error:
        raise ProfileError(f"{name}: {_sentences(error)}") from None


def _sentences(error: ValidationError) -> str:
    """pydantic's findings by field, all of them, with the field that was probably meant."""
    found = []
    for problem in error.errors():
        field = ".".join(map(str, problem["loc"]))
        match problem["type"]:
            case "extra_forbidden":
                owner = _PARTS.get(str(problem["loc"][0]), Profile) if len(problem["loc"]) > 1 else Profile
                near = nearest(str(problem["loc"][-1]), owner.model_fields)
                found.append(f"{field} is no field of a profile" + (f": did you mean {near[0]}?" if near else ""))
            case "missing":
                found.append(f"{field} is missing")
            case "value_error":
                found.append((f"{field}: " if field else "") + str(problem["ctx"]["error"]))
            case _:
                said = problem["msg"][:1].lower() + problem["msg"][1:]
                found.append(f"{field} is {problem['input']!r}: {said}")
    return "; ".join(found)
