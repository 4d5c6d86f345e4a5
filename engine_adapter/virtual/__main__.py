"""A worker process of virtual time: one job in, its progress and result out. See jobs.py."""

from __future__ import annotations

import os
import signal
import sys

# Before vLLM is imported: what it has to say about this machine is of no interest here.
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from engine_adapter.virtual.jobs import decode_job, encode_error, encode_measured, encode_progress
from engine_adapter.workload.trace import TraceError


def main() -> int:
    """Run the job on standard input. 0, also when interrupted; 1 when it couldn't begin."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the lines

    def say(line: bytes) -> None:
        out.write(line)
        out.flush()

    try:
        simulation = decode_job(sys.stdin.buffer.readline())
        from engine_adapter.virtual.driver import run

        measured = run(simulation, lambda share: say(encode_progress(share)))
    except (ValueError, LookupError, TraceError) as problem:
        say(encode_error(str(problem)))
        return 1
    except KeyboardInterrupt:  # while vLLM was being imported
        say(encode_error("interrupted before it began"))
        return 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the result
    say(encode_measured(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
