"""The policies that ship with lamps: one `.lamps` file each, its tests inside."""

from __future__ import annotations

from pathlib import Path

from policy_dsl.names import nearest


class UnknownPolicy(LookupError):
    """No file and no shipped policy has this name. *near* holds the nearest shipped names."""

    def __init__(self, name: str, near: list[str]) -> None:
        super().__init__(f"there is no policy `{name}`")
        self.name = name
        self.near = near


def shipped() -> dict[str, Path]:
    """Shipped policies by name, in alphabetical order."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.lamps"))}


def find(name_or_path: str) -> Path:
    """The file of a policy: an existing path first, then a shipped name. Raises UnknownPolicy."""
    path = Path(name_or_path)
    if path.is_file():
        return path
    known = shipped()
    name = name_or_path.removesuffix(".lamps")
    if name in known:
        return known[name]
    raise UnknownPolicy(name_or_path, nearest(Path(name).name, known))
