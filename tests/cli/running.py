"""Runs `lamps` as its users do: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LAMPS = Path(sys.executable).with_name("lamps")


def lamps(
    *arguments: str | Path, stdin: str = "", cwd: Path | None = None, timeout_s: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run it to its end, at most *timeout_s*. Colour and debugging are off unless *environment* says so."""
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "LAMPS_DEBUG")}
    return subprocess.run(
        [LAMPS, *map(str, arguments)],
        input=stdin,
        cwd=cwd,
        env=plain | environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
