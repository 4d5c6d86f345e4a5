"""What the exit status of `lamps` means: one table for every command, so that scripts can rely on it."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FINDINGS = 1
    """The command did its work and found something: errors in a policy, failed sessions, a broken installation."""
    USAGE = 2
    """Wrong arguments, or an input that can't be read."""
    UNREACHABLE = 3
    """The server doesn't answer, or stopped answering."""
    INTERNAL = 70
    """A bug in lamps (EX_SOFTWARE of sysexits.h). `LAMPS_DEBUG=1` shows the traceback."""
    INTERRUPTED = 130
    """Ctrl-C (128 + SIGINT)."""
    BROKEN_PIPE = 141
    """The reader of the output went away (128 + SIGPIPE)."""
