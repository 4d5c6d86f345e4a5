"""What the importers share: files in, problems by line, sessions out."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from engine_adapter.workload.lines import MAX_SECONDS, MAX_TOKENS, Damaged, shortened, unzipped
from engine_adapter.workload.trace import SessionTrace, TraceError, Turn

Row = TypeVar("Row")

# 1 January 2100 in seconds: a larger number is a time in milliseconds.
_LATEST_SECONDS = 4_102_444_800


@dataclass(frozen=True, slots=True)
class Source:
    """One file, unpacked."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it."""

    sessions: tuple[SessionTrace, ...]
    skipped: tuple[tuple[str, int], ...]
    """Records that were left out: why, and how many."""
    lost: tuple[str, ...]
    """What the files don't tell, or a trace can't hold: a sentence each."""


def open_sources(paths: Sequence[Path], suffix: str) -> list[Source]:
    """The files, gzipped or not; of a folder, those whose names end in *suffix* (or that and .gz), by name.

    Raises TraceError when one can't be read.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.name.removesuffix(".gz").endswith(suffix))
            if not inside:
                raise TraceError(f"there is no {suffix} file in {path}")
            found += inside
        else:
            found.append(path)
    return [_opened(path) for path in found]


def _opened(path: Path) -> Source:
    try:
        return Source(str(path), unzipped(path.read_bytes()))
    except OSError as error:
        raise TraceError(f"can't read {path}: {error.strerror}") from None
    except Damaged as damage:
        raise TraceError(f"{path} {damage}") from None


class Findings:
    """What is found wrong, and what is left out, while files are read."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.skipped: Counter[str] = Counter()

    def imported(self, sessions: Sequence[SessionTrace], lost: Sequence[str]) -> Imported:
        """The result: sessions from the time of the first, which becomes 0. Raises TraceError if a line was bad."""
        if self.problems:
            raise TraceError(shortened(self.problems))
        if not sessions:
            raise TraceError("there is no request in it")
        starts = [one.start_s for one in sessions if one.parent is None and one.start_s is not None]
        first = min(starts, default=0.0)
        moved = tuple(
            one if one.parent is not None or one.start_s is None else replace(one, start_s=one.start_s - first)
            for one in sessions
        )
        return Imported(moved, tuple(self.skipped.most_common()), tuple(lost))


def json_lines(sources: Sequence[Source], row: type[Row], findings: Findings) -> Iterator[tuple[str, Row]]:
    """Every line that is a *row*, with its place; what isn't is a problem."""
    decoder = msgspec.json.Decoder(row)
    for source in sources:
        for number, line in enumerate(source.data.splitlines(), start=1):
            if line.strip():
                place = f"{source.name}:{number}"
                try:
                    yield place, decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    findings.problems.append(f"{place}: {error}")


def csv_rows(
    sources: Sequence[Source], columns: Sequence[str], findings: Findings
) -> Iterator[tuple[str, dict[str, str]]]:
    """Every row of tables that have *columns*, with its place."""
    for source in sources:
        try:
            text = source.data.decode()
        except UnicodeDecodeError as error:
            findings.problems.append(f"{source.name} is not UTF-8: {error.reason} at byte {error.start}")
            continue
        reader = csv.DictReader(io.StringIO(text), strict=True)
        try:
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                findings.problems.append(f"{source.name}:1: no column {', '.join(missing)}")
                continue
            for cells in reader:
                place = f"{source.name}:{reader.line_num}"
                if None in cells or None in cells.values():
                    findings.problems.append(f"{place}: not as many cells as the table has columns")
                else:
                    yield place, cells
        except csv.Error as error:
            findings.problems.append(f"{source.name}:{reader.line_num}: {error}")


def tokens(value: int | str, name: str) -> int:
    """A length, from 0 to the largest any model takes. Raises ValueError with a sentence."""
    try:
        count = int(value)
    except ValueError:
        raise ValueError(f"{name} is {value!r}, must be a whole number") from None
    if not 0 <= count <= MAX_TOKENS:
        raise ValueError(f"{name} is {count}, must be from 0 to {MAX_TOKENS}")
    return count


def seconds(value: float | str, name: str) -> float:
    """A time or duration. Raises ValueError with a sentence."""
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"{name} is {value!r}, must be a number of seconds") from None
    if not 0 <= number <= MAX_SECONDS:
        raise ValueError(f"{name} is {number:g}, must be from 0 to {MAX_SECONDS:g} seconds")
    return number


def instant(value: float | str, name: str) -> float:
    """A point in time in seconds since 1970, from such a number, one in milliseconds, or ISO 8601 (UTC if it doesn't
    say). Raises ValueError with a sentence."""
    try:
        return _instant(value)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{name} is {value!r}, must be a time: seconds since 1970 or like 2024-05-10 00:00:09Z"
        ) from None


def _instant(value: float | str) -> float:
    if isinstance(value, str):
        at = datetime.fromisoformat(value)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    at_s = value if value <= _LATEST_SECONDS else value / 1000
    if not 0 <= at_s <= _LATEST_SECONDS:
        raise ValueError
    return at_s


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many numbers from the start are the same in both. Halving beats walking: comparing slices is C."""
    same, differs = 0, min(len(one), len(other)) + 1
    while differs - same > 1:
        half = (same + differs) // 2
        if one[same:half] == other[same:half]:
            same = half
        else:
            differs = half
    return same


@dataclass(slots=True)
class Growing:
    """A session while its requests are found."""

    name: str
    start_s: float | None
    turns: list[Turn]
    ended_s: float
    """When its last answer was complete, as far as the data tell."""
    parent: str | None = None
    tenant: str | None = None

    @property
    def known(self) -> int:
        """Tokens of its last turn, answer included."""
        return self.turns[-1].prompt + self.turns[-1].output

    def finished(self) -> SessionTrace:
        """The session as a trace has it."""
        return SessionTrace(self.name, tuple(self.turns), None, self.parent, self.tenant, self.start_s)
