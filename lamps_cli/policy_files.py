"""The policy that an argument means: a file, a folder of them, or a shipped name; and why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lamps_cli.errors import Failure
from lamps_cli.exit_codes import ExitCode
from lamps_cli.output import talk, wants_colour

if TYPE_CHECKING:
    from policy_dsl.diagnostics.model import Source
    from policy_dsl.ir import Policy
    from policy_dsl.loading import Loaded


def find(name: str) -> Path:
    """The file of the policy *name*. Failure says what may have been meant."""
    import policies

    try:
        return policies.find(name)
    except policies.UnknownPolicy as unknown:
        if Path(name).is_dir():
            raise Failure(f"{name} is a folder", "give a policy file in it") from None
        near = f"did you mean {' or '.join(unknown.near)}?" if unknown.near else ""
        shipped = f"shipped are {', '.join(policies.shipped())}"
        raise Failure(f"there is no file and no policy {name}", f"{near}\n{shipped}".strip()) from None


def expand(name: str) -> Iterator[Path]:
    """The files that *name* stands for: a folder's policies, or one."""
    path = Path(name)
    if not path.is_dir():
        yield find(name)
        return
    inside = sorted(path.glob("*.lamps"))
    if not inside:
        raise Failure(f"{name} is a folder without *.lamps files")
    yield from inside


def read(path: Path) -> Loaded:
    """What is in the file, right or wrong. Failure when it can't be read."""
    from policy_dsl.loading import load

    try:
        return load(path)
    except OSError as problem:
        raise Failure(f"can't read {path}: {problem.strerror}") from None


def text(name: str) -> str:
    """The text of the policy *name*, right or wrong. Failure, after it has been shown why, when it is no text."""
    from policy_dsl.diagnostics import codes

    loaded = read(find(name))
    if any(d.code == codes.UNREADABLE for d in loaded.diagnostics):
        raise _refused(name, loaded, "can't be read")
    return loaded.source.text


def checked(name: str) -> tuple[Loaded, Policy, Source]:
    """The policy *name*, free of errors. Failure after they have been shown."""
    loaded = read(find(name))
    if loaded.policy is None:
        raise _refused(name, loaded, "has errors")
    return loaded, loaded.policy, loaded.source


def _refused(name: str, loaded: Loaded, why: str) -> Failure:
    """Shows what is wrong."""
    from policy_dsl.diagnostics.full import render

    for finding in loaded.diagnostics:
        talk(render(finding, colour=wants_colour()) + "\n")
    return Failure(f"{name} {why}", code=ExitCode.FINDINGS)
