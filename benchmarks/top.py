"""What the monitor costs: its own processor, and the server that it watches.

    python -m benchmarks.top screen    a frame of 10,000 requests, the processor's share, the first paint
    python -m benchmarks.top server    tokens a second of a server that is watched, over the same that isn't

`screen` takes three minutes, `server` a quarter of an hour. Writes benchmarks/results/top.json and exits with 1 past a
bound.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import functools
import gc
import json
import os
import pty
import re
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psutil

from engine_adapter.control.frames import Frame, Status, parse_status
from tui.recording import Reader

RESULTS = Path(__file__).parent / "results" / "top.json"
LAMPS = Path(sys.executable).with_name("lamps")
DEMO = Path(str(files("tui") / "demo.jsonl.xz"))
REQUESTS, FRAME_S, SHARE, PAINT_S, RATIO = 10_000, 0.05, 0.05, 1.0, 0.99
# Two frames a second.
EVERY_S = 0.5
# Monitors at once, so that what they cost stands out.
MANY = 10
# Rows of a kind that a monitor asks for. On its first screen it has none of them judged, on Queue those that wait.
ROWS = 50
# Before a run, in which those who watch begin.
REST_S = 2.0
VIEWS = ("overview", "queue", "calls", "policy", "decisions", "predictors", "fleet")
ESCAPES = re.compile(r"\x1b\[[0-9;?<>=]*[A-Za-z]|\x1b[^\[]")


# --- a frame


def crowded() -> Frame:
    """The last frame of the demo's first server, with 10,000 requests waiting, all of them listed."""
    frame = next(line.parsed().engines[0] for line, _ in reversed(list(Reader(DEMO).lines())) if line.server == ":8000")
    row = frame.waiting[0]
    changes = [{"id": f"r{n}", "session": f"s{n}", "place": n + 1, "waited_s": n / 100} for n in range(REQUESTS)]
    waiting = tuple(msgspec.structs.replace(row, **change) for change in changes)
    return msgspec.structs.replace(frame, waiting=waiting, waiting_total=REQUESTS)


async def handled(view: str, repetitions: int) -> list[tuple[float, float]]:
    """Seconds from the bytes of a frame to the lines on the screen, by the clock and of the processor; of *repetitions*
    frames of another order each."""
    from tui.app import Options, Top
    from tui.model import Delivery
    from tui.sources.replay import Replay

    source = Replay(DEMO)
    source.paused = True
    app = Top(source, Options(view=view))
    frame, times = crowded(), []
    async with app.run_test(size=(160, 48)) as pilot:
        while source.note:  # until it is read
            await pilot.pause(0.1)
        gc.freeze()  # as the program does where it has a terminal
        for n in range(repetitions):
            turned = frame.waiting[n * 97 :] + frame.waiting[: n * 97]
            again = tuple(msgspec.structs.replace(r, place=p) for p, r in enumerate(turned, 1))
            text = msgspec.json.encode(Status(1, (msgspec.structs.replace(frame, waiting=again, at=frame.at + n),)))
            began, cpu = time.perf_counter(), time.process_time()
            app.model.take(Delivery(":8000", frame.at + n, parse_status(text), restart=n == 0))
            app.show()
            app.screen._compositor.render_strips()
            times.append((time.perf_counter() - began, time.process_time() - cpu))
            await pilot.pause()
    return times


# --- the program in a terminal


class Terminal:
    """`lamps top` with *words*, in a terminal of 120x40. *shown*: what it was sent, without colours."""

    def __init__(self, *words: str) -> None:
        self.began = time.perf_counter()
        self._main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        self.process = subprocess.Popen([LAMPS, "top", *words], stdin=side, stdout=side, stderr=side, env=environment)
        os.close(side)
        self.shown = ""

    def read(self, for_s: float, until: str = "") -> None:
        """Take what comes for *for_s* seconds, or until it has *until* in it."""
        end = time.monotonic() + for_s
        while time.monotonic() < end and not (until and until in self.shown):
            if select.select([self._main], [], [], max(end - time.monotonic(), 0.0))[0]:
                self.shown += ESCAPES.sub("", os.read(self._main, 1 << 20).decode(errors="replace"))

    def drain(self) -> None:
        """Take whatever comes until it is closed: a terminal that nobody reads stops its program."""
        with contextlib.suppress(OSError):
            while os.read(self._main, 1 << 20):
                pass

    def press(self, keys: str) -> None:
        os.write(self._main, keys.encode())

    def cpu_s(self) -> float:
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self._main)


@contextlib.contextmanager
def terminal(*words: str) -> Iterator[Terminal]:
    made = Terminal(*words)
    try:
        yield made
    finally:
        made.close()


def first_paint() -> tuple[float, float]:
    """Seconds from the command to the first screen with values in it, by the clock and of the processor."""
    with terminal("--demo") as shown:
        shown.read(30.0, until="first token")
        return time.perf_counter() - shown.began, shown.cpu_s()


def share(view: str, over_s: float) -> float:
    """Of one core, while the demo is played at two frames a second of each of its three engines."""
    with terminal("--demo", "--view", view) as shown:
        shown.read(30.0, until="running")
        shown.press("+")  # twice its speed: it has a frame a second
        shown.read(5.0)  # by then it has been read
        before, began = shown.cpu_s(), time.perf_counter()
        shown.read(over_s)
        return (shown.cpu_s() - before) / (time.perf_counter() - began)


def spread(times: list[tuple[float, float]]) -> dict[str, float]:
    clock, cpu = zip(*times, strict=True)
    return {"median": statistics.median(clock), "max": max(clock), "cpu": statistics.median(cpu), "runs": len(times)}


def screen(repetitions: int, over_s: float) -> dict[str, Any]:
    """All figures of the monitor alone."""
    frames = {view: asyncio.run(handled(view, repetitions)) for view in ("overview", "queue")}
    paints = [first_paint() for _ in range(repetitions // 2 + 1)][1:]
    shares = {view: share(view, over_s) for view in VIEWS}
    return {
        "frame_of_10000_s": {view: spread(times) for view, times in frames.items()},
        "first_paint_s": spread(paints),
        "share_of_a_core": {**shares, "seconds": over_s},
    }


# --- the server


# It takes what comes and looks at nothing: a monitor on another machine works on that machine.
_READ = """
import socket, sys, threading
host, port, path, readers = sys.argv[1:]
def read():
    with socket.create_connection((host, int(port))) as server:
        server.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n".encode())
        while server.recv(1 << 20):
            pass
for _ in range(int(readers)):
    threading.Thread(target=read).start()
"""


@contextlib.contextmanager
def alone(url: str) -> Iterator[None]:
    """Nobody watches; the server rests as it does before the other ways, so that nothing but watching differs."""
    time.sleep(REST_S)
    yield


@contextlib.contextmanager
def reading(url: str, readers: int = 1, judged: str = "") -> Iterator[None]:
    """So many read the server's frames, as monitors on other machines do; rows of the kind *judged* are judged."""
    server = urlsplit(url)
    words = (server.hostname or "", str(server.port), f"/lamps/events?every={EVERY_S}&rows={ROWS}&judged={judged}")
    process = subprocess.Popen([sys.executable, "-c", _READ, *words, str(readers)], stderr=subprocess.DEVNULL)
    try:
        time.sleep(REST_S)  # until it has begun
        yield
        if process.poll() is not None:
            raise RuntimeError(f"{url} closed its streams: nobody was watching")
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def drawing(url: str) -> Iterator[None]:
    """The monitor itself, on this machine, in a terminal that is read."""
    with terminal(url, "--every", str(EVERY_S)) as shown:
        shown.read(30.0, until="first token")
        threading.Thread(target=shown.drain, daemon=True).start()
        yield


WAYS: dict[str, Callable[[str], contextlib.AbstractContextManager[None]]] = {
    "alone": alone,
    "watched": reading,
    f"watched by {MANY}": functools.partial(reading, readers=MANY),
    f"judging for {MANY}": functools.partial(reading, readers=MANY, judged="waiting"),
    "drawn beside it": drawing,
}


def watched(rounds: int) -> dict[str, Any]:
    """Tokens a second of one server under more requests than seats: alone, watched from elsewhere, by many, by many on
    screens that want rows judged, and with the monitor on the same machine, whose processor it then shares. In turns.

    Runs of the same kind differ by 5 %, what one monitor costs is less: so a tenth is told of what ten cost.
    """
    from benchmarks.servers import serving
    from benchmarks.serving import saturate

    flags = ("--max-model-len", "2304", "--block-size", "32", "--max-num-seqs", "64")
    rates: dict[str, list[float]] = {how: [] for how in WAYS}
    with tempfile.TemporaryDirectory() as folder, serving("lamps", "random", *flags, logs=Path(folder)) as url:
        saturate(url, seed=0, requests=64)
        for n in range(rounds):
            ways = list(WAYS)
            first = n % len(ways)
            for place, how in enumerate(ways[first:] + ways[:first], 1):
                with WAYS[how](url):  # other prompts each time: the prefix cache is on
                    rates[how].append(saturate(url, seed=len(ways) * n + place, requests=256))
            print(n + 1, {how: round(rate[-1]) for how, rate in rates.items()}, file=sys.stderr)
    ratios = {how: [a / b for a, b in zip(rates[how], rates["alone"], strict=True)] for how in WAYS if how != "alone"}
    told = {how: {"median": statistics.median(given), "rounds": given} for how, given in ratios.items()}
    first, judging = (
        1.0 - (1.0 - told[many]["median"]) / MANY for many in (f"watched by {MANY}", f"judging for {MANY}")
    )
    return {
        "tokens_per_s": rates, "ratio_to_alone": told, "ratio_with_one": first, "ratio_with_one_judging": judging,
    }  # fmt: skip


def past_bounds(found: dict[str, Any]) -> list[str]:
    """A sentence for each bound that is not kept."""
    said = []
    for view, times in found.get("frame_of_10000_s", {}).items():
        if times["median"] > FRAME_S:
            said.append(f"a frame of 10,000 on {view} takes {times['median']:.3f} s, bound {FRAME_S}")
    for view in VIEWS:
        part = found.get("share_of_a_core", {}).get(view, 0.0)
        if part > SHARE:
            said.append(f"{view} takes {part:.1%} of a core, bound {SHARE:.0%}")
    if found.get("first_paint_s", {}).get("median", 0.0) > PAINT_S:
        said.append(f"the first paint takes {found['first_paint_s']['median']:.2f} s, bound {PAINT_S}")
    for ratio in ("ratio_with_one", "ratio_with_one_judging"):
        if (share := found.get("server", {}).get(ratio, 1.0)) < RATIO:
            said.append(f"{ratio}: a watched server has {share:.3f} of its throughput, bound {RATIO}")
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("screen", "server"))
    parser.add_argument("--repetitions", type=int, default=20, help="frames, and half as many starts (screen)")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each view (screen)")
    parser.add_argument("--rounds", type=int, default=12, help="of each way (server)")
    given = parser.parse_args()
    found: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if given.what == "screen":
        found |= screen(given.repetitions, given.seconds)
    else:
        found["server"] = watched(given.rounds)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    ratios = found.get("server", {}).get("ratio_to_alone", {})
    medians = {how: told["median"] for how, told in ratios.items()}
    print(json.dumps({k: v for k, v in found.items() if k != "server"} | medians))
    said = past_bounds(found)
    print("\n".join(said), file=sys.stderr)
    return int(bool(said))


if __name__ == "__main__":
    sys.exit(main())
