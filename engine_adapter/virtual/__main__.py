"""A worker process of virtual time: jobs in, their progress and answers out. See jobs.py."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

# Before vLLM is imported: what it has to say about this machine is of no interest here.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from engine_adapter.virtual.jobs import (
    Search,
    decode_job,
    encode_error,
    encode_measured,
    encode_progress,
    encode_saturation,
)
from engine_adapter.workload.trace import TraceError

Say = Callable[[bytes], None]


def main() -> int:
    """Do the jobs on standard input. 0, also when interrupted; 1 when one couldn't begin, which ends no other."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the lines

    def say(line: bytes) -> None:
        out.write(line)
        out.flush()

    status = 0
    for line in sys.stdin.buffer:
        try:
            if not _done(line, say):
                return 0
        except (ValueError, LookupError, TraceError) as problem:
            say(encode_error(str(problem)))
            status = 1
        except KeyboardInterrupt:  # while vLLM was being imported
            say(encode_error("interrupted before it began"))
            return 1
    return status


def _done(line: bytes, say: Say) -> bool:
    """Do one job and answer; whether the next may follow."""
    job = decode_job(line)
    if isinstance(job, Search):
        from engine_adapter.virtual.saturation import saturation

        say(encode_saturation(saturation(job.trace, job.profile, lambda share: say(encode_progress(share)))))
        return True
    from engine_adapter.virtual.driver import run

    measured = run(job, lambda share: say(encode_progress(share)))
    interrupted = measured.ended == "interrupted"
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the result
    say(encode_measured(measured))
    return not interrupted


if __name__ == "__main__":
    sys.exit(main())
