"""Saturations that were found, kept on disk: the search takes about half a minute, and its answer never changes.

A file for each trace and engine, named by a hash of both, of what the search goes by and of vLLM's release.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine_adapter.runtime.folders import cache_folder
from engine_adapter.virtual import saturation
from engine_adapter.virtual.profile import Profile
from engine_adapter.vllm.compat_api import DISTRIBUTIONS
from engine_adapter.workload.load import Load, scaled
from engine_adapter.workload.trace import Trace, written


def at_scale(trace: Trace, load: Load) -> Trace:
    """*trace* with lengths and gaps as *load* has them: what the saturation is of that its rate is a share of."""
    return Trace(trace.name, tuple(scaled(session, load) for session in trace.sessions))


def recall(trace: Trace, profile: Profile) -> float | None:
    """Sessions per second, when it was found before."""
    try:
        found = json.loads(_file(trace, profile).read_text())["sessions_per_s"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, float) and 0 < found < math.inf else None


def remember(trace: Trace, profile: Profile, sessions_per_s: float) -> None:
    """Keep it. Where nothing can be written, it is found anew the next time."""
    file = _file(trace, profile)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    document = {"trace": trace.name, "profile": profile.name, "sessions_per_s": sessions_per_s}
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(document) + "\n")
        beside.replace(file)


def saturation_of(trace: Trace, profile: Profile, progress: saturation.Progress | None = None) -> float:
    """Recalled, or found and kept. Raises `saturation.NoSaturation`."""
    found = recall(trace, profile)
    if found is None:
        found = saturation.saturation(trace, profile, progress)
        remember(trace, profile, found)
    return found


def _file(trace: Trace, profile: Profile) -> Path:
    known = hashlib.sha256(written(trace.sessions))
    known.update(profile.model_dump_json().encode())
    known.update(repr(saturation.SEARCH).encode())
    known.update(_vllm().encode())
    return cache_folder() / "saturation" / f"{known.hexdigest()[:24]}.json"


def _vllm() -> str:
    """Its release, without importing it."""
    for name in DISTRIBUTIONS:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return ""
