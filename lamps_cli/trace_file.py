"""Writes a trace where the user wants it: gzipped if the name says so, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lamps_cli.errors import Failure

if TYPE_CHECKING:
    from engine_adapter.workload.trace import SessionTrace


def save(path: Path, sessions: Sequence[SessionTrace]) -> None:
    """Write *sessions* to *path*, over what is there. Failure where that can't be."""
    import gzip

    from engine_adapter.workload.trace import written

    data = written(sessions)
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)  # its time would make two files of the same sessions differ
    try:
        if path.exists() and not path.is_file():  # a pipe, /dev/stdout
            path.write_bytes(data)
            return
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
    except OSError as problem:
        raise Failure(f"can't write {path}: {problem.strerror}") from problem
