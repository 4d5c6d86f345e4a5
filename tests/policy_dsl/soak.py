"""How many random programs a test draws: few by default, many where `LAMPS_SOAK` is set (`make soak`)."""

from __future__ import annotations

import os

SOAKING = bool(os.environ.get("LAMPS_SOAK"))


def count(ordinary: int, soaking: int) -> int:
    return soaking if SOAKING else ordinary
