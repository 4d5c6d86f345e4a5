"""What is to be served, and how it is told that it can't be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class LaunchError(Exception):
    """The server can't start: *message* says why in one sentence, *hint* what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file that was checked: what goes to the engine and what is told to the user."""

    path: Path
    name: str
    revision: str
    params: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Watched:
    """The policy's file is watched. *params*: those that the user gave, which a reload keeps."""

    params: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve. *policy* None is vLLM as it is; *flags* go to vLLM's own parser, unread.

    *swap_gib*: host memory for swapped KV, of each engine; 0 for none.
    *record*: a new file for a record of all steps, or None. *decisions*: the decision log, or None.
    *watch*: the policy is reloaded when its file changes; None: it isn't. *predictor*: the file of a trained model that
    foretells lengths; None: what is learned online does. *profile*: as `activation.Settings` has it.
    """

    policy: Policy | None
    model: str | None
    host: str
    port: int
    store: Path | None
    flags: tuple[str, ...] = ()
    swap_gib: float = 0.0
    record: Path | None = None
    decisions: Path | None = None
    watch: Watched | None = None
    predictor: Path | None = None
    profile: str | None = None
