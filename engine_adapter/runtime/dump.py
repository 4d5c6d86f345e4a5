"""The state of an engine at the moment its policy was ejected, as a file that `lamps explain` reads. No prompt text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Each has at most 500 rows of a kind (`state`): so many say what happened, and never fill a disk.
KEPT = 8
_PREFIX = "ejected-"


def write(folder: Path, engine_id: str, state: Mapping[str, Any], reason: str) -> Path:
    """Write *state*, and for what *reason*, to a new file in *folder* that nobody else may read. OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    path = folder / f"{_PREFIX}{stamp}-{engine_id}.json"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump({**state, "policy": {**state["policy"], "ejected": reason}}, file, indent=1)
    for old in sorted(folder.glob(f"{_PREFIX}*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path
