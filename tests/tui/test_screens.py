"""What every screen looks like, at two sizes: compared with the text that is checked in.

`UPDATE_SCREENS=1 pytest tests/tui/test_screens.py` writes it anew; read the difference before it is committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.tui.conftest import Told
from tests.tui.screens import press, running, text
from tui.app import Options
from tui.model import Delivery
from tui.views.catalogue import VIEWS

SCREENS = Path(__file__).parent / "screens"
SIZES = ((80, 24), (160, 48))


def check(name: str, shown: str) -> None:
    shown = shown.rstrip("\n").rpartition("\n")[0] + "\n"  # the footer follows the focus in its own time
    path = SCREENS / f"{name}.txt"
    if os.environ.get("UPDATE_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        path.write_text(shown)
    assert shown == path.read_text()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", VIEWS)
async def test_a_screen(film: list[Delivery], name: str, size: tuple[int, int]) -> None:
    async with running(Told(film, "the demo"), size, Options(view=name)) as pilot:
        check(f"{name}-{size[0]}x{size[1]}", text(pilot))


async def test_ascii_means_ascii(film: list[Delivery]) -> None:
    for name in VIEWS:
        async with running(Told(film), (100, 30), Options(view=name, ascii_only=True)) as pilot:
            shown = text(pilot).replace("·", "")  # units of a policy: token·seconds
            assert shown.isascii(), sorted({c for c in shown if not c.isascii()})


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (130, 30), (250, 80)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_every_screen_fits_every_size(film: list[Delivery], size: tuple[int, int]) -> None:
    async with running(Told(film), size) as pilot:
        for number in range(1, len(VIEWS) + 1):
            await press(pilot, str(number))
            await pilot.pause()
            shown = text(pilot).splitlines()
            assert len(shown) == size[1] and max(map(len, shown)) <= size[0]
            assert "quit" in shown[-1] or "open" in shown[-1]


@pytest.mark.parametrize("size", [(20, 5), (39, 30), (100, 9)])
async def test_too_small_is_said(film: list[Delivery], size: tuple[int, int]) -> None:
    async with running(Told(film), size) as pilot:
        assert "too small" in text(pilot)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert "too small" not in text(pilot) and "KV memory" in text(pilot)
