"""Writing files that a user has named, and over those that are there."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from lamps_cli.errors import Failure


def need_folder(path: Path) -> None:
    """Failure, before any work is done, for a file whose folder isn't there."""
    if not path.expanduser().parent.is_dir():
        raise Failure(f"can't write {path}: there is no folder {path.parent}")


def save(path: Path, text: str) -> None:
    """Write *text* to *path*, over what is there. Failure where that can't be.

    Of `--out=~/x` a shell leaves the ~ to us.
    """
    try:
        path.expanduser().write_text(text, encoding="utf-8")
    except OSError as problem:
        raise Failure(f"can't write {path}: {problem.strerror}") from None


def rewrite(path: Path, data: bytes) -> None:
    """Replaces the content of an existing file in one step: a reader sees the old or the new, never a part, with the
    permissions of the old.

    A link stays one, the file it leads to is written. PermissionError for a file that nobody may write, even
    where its folder would allow a replacement; OSError for everything else that prevents it.
    """
    target = path.resolve(strict=True)
    before = target.stat()
    if not before.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise PermissionError(13, "it is read-only", str(target))
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(stat.S_IMODE(before.st_mode))
        with suppress(OSError):  # only root may give files away
            os.chown(name, before.st_uid, before.st_gid)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
