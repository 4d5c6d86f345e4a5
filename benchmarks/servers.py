"""Real servers for benchmarks, as `lamps bench --policies` starts them: a policy in a word, logs in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lamps_cli.measuring import machine, servers

READY_S = 180.0
CORES = sorted(machine.CORES)
free_port = servers.free_port


@contextmanager
def serving(
    policy: str, model: str, *flags: str, logs: Path, give: Callable[[int], None] | None = None
) -> Iterator[str]:
    """A server under *policy*, yielding its URL. servers.DidNotStart with the log's end if it fails.

    *policy*: "stock" (plain vLLM), a name, or a name with parameters as in "lamps:patience=100". *give* shares the
    cores out, told the server's process; without one the model gets a core of its own.

    It starts knowing nothing, and keeps nothing of what it learns.
    """
    name, *params = policy.split(":")
    log = logs / f"{name.replace('/', '_')}-{len(list(logs.iterdir()))}.log"
    words = servers.serve_words(name, params, model, flags)
    with servers.serving(words, log, READY_S, {"VLLM_CPU_KVCACHE_SPACE": "1"}, give) as server:
        yield server.url


def on_cores(*cores: int) -> Callable[[int], None]:
    """For `serving`: all of a server on these cores, so that two of them share none."""

    def give(server: int) -> None:
        for process in servers.processes(server):
            servers.put_on(process, cores)

    return give


@contextmanager
def several(policies: Sequence[str], model: str, *flags: str, logs: Path) -> Iterator[dict[str, str]]:
    """One server a policy, all up at once (an idle one takes no time): policy -> URL."""
    if not policies:
        yield {}
        return
    with serving(policies[0], model, *flags, logs=logs) as url, several(policies[1:], model, *flags, logs=logs) as rest:
        yield {policies[0]: url, **rest}
