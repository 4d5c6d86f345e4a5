"""Where lamps keeps what outlives a process."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Of models, predictions and dumps: `$LAMPS_CACHE`, else `lamps` in the XDG cache folder."""
    if chosen := os.environ.get("LAMPS_CACHE"):
        return Path(chosen).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lamps"
