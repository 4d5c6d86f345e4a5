"""Pictures of the monitor for the README and docs/monitor.md, taken from the program while it plays its demo.

`python docs/pictures.py` (`make pictures`) writes docs/pictures/NAME.svg.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tui.app import Options, Top
from tui.sources import replay
from tui.sources.replay import Replay

FOLDER = Path(__file__).parent / "pictures"
DEMO = Path(str(files("tui") / "demo.jsonl.xz"))


@dataclass(frozen=True, slots=True)
class Picture:
    """A screen *at_s* seconds into the demo, after *keys*."""

    name: str
    view: str
    at_s: float
    size: tuple[int, int] = (120, 34)
    keys: tuple[str, ...] = ()
    theme: str = "lamps-dark"


PICTURES = (
    Picture("overview", "overview", 102.0, (140, 38)),
    Picture("queue", "queue", 102.0, (150, 32), ("j", "j", "j")),
    Picture("calls", "calls", 102.0, (150, 32), ("j",)),
    Picture("decision", "decisions", 102.0, (110, 40), ("slash", *"preserve", "enter", "enter")),
    Picture("policy", "policy", 102.0, (140, 42)),
    Picture("light", "overview", 102.0, (80, 24), theme="lamps-light"),
)


# The curves of a picture begin with the demo.
replay.BACKGROUND = 600


async def taken(picture: Picture) -> str:
    """The screen as SVG."""
    from lamps_cli.watched import explain_recorded

    source = Replay(DEMO, "demo: virtual time, three policies under one load")
    source.toggle()
    app = Top(source, Options(picture.theme, view=picture.view), explain_recorded)
    async with app.run_test(size=picture.size) as pilot:
        while source.note:  # until it is read
            await pilot.pause(0.1)
        source.seek(picture.at_s)
        await pilot.pause(1.0)
        await pilot.press(*picture.keys)
        await app.workers.wait_for_complete()
        await pilot.pause(0.3)
        return app.export_screenshot(title="lamps top --demo")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        path = FOLDER / f"{picture.name}.svg"
        path.write_text(asyncio.run(taken(picture)), encoding="utf-8")
        print(f"wrote {path.relative_to(FOLDER.parent.parent)}", file=sys.stderr)


if __name__ == "__main__":
    main()
