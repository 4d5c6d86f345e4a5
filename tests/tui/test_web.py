"""`lamps top --web`: the same program in a browser, for its own page only."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from PIL import Image
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lamps_cli.exit_codes import ExitCode
from tests.cli.running import LAMPS, lamps
from tests.engine.server import free_port
from tests.tui.browser import CHROMIUM, ESCAPES, Page, browsing
from tui.themes import PALETTES

pytest.importorskip("textual_serve", reason="textual-serve is not installed")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a monitor in the web that shows the demo."""
    port = free_port()
    log = tmp_path_factory.mktemp("web") / "log"
    with log.open("w") as out:
        process = subprocess.Popen([LAMPS, "top", "--demo", "--web", "--port", str(port)], stdout=out, stderr=out)
    try:
        end = time.monotonic() + 60
        while True:
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            with suppress(httpx.HTTPError):
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)
        assert "lamps top is on http://127.0.0.1" in log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine (Debian: apt install chromium)")
def test_a_browser_shows_the_monitor_and_its_keys_work(url: str, tmp_path: Path) -> None:
    with browsing(tmp_path, url) as page:
        page.until(lambda: "KV memory" in page.screen and "nothing stands out" in page.screen)
        page.click(600, 400)  # a terminal gets keys when it has the focus
        page.press("2")
        page.until(lambda: "Why it stands there" in page.screen)
        page.press("1")
        palette, end = PALETTES["lamps-dark"], time.monotonic() + 30
        while not {palette.background, palette.memory[0]} <= (painted := colours(page, tmp_path / "page.png")):
            assert time.monotonic() < end, painted  # the bar of running requests is painted
        blocked = [problem for problem in page.problems if "Content Security Policy" in problem]
        assert all("fonts.googleapis.com" in problem for problem in blocked), blocked


def colours(page: Page, path: Path) -> set[str]:
    """Those of more than a hundred points of the page."""
    page.picture(path)
    found = Image.open(path).convert("RGB").getcolors(1 << 24)
    assert found is not None
    return {f"#{r:02x}{g:02x}{b:02x}" for count, (r, g, b) in found if count > 100}


def test_the_terminal_is_sent_over_the_web_socket(url: str) -> None:
    """What the browser's test sees, without a browser."""
    screen = ""
    with connect(f"ws{url.removeprefix('http')}/ws?width=80&height=24", origin=url, max_size=None) as socket:  # type: ignore[arg-type]
        end = time.monotonic() + 60
        while "KV memory" not in screen:
            assert time.monotonic() < end, screen
            data = socket.recv(timeout=60)
            screen += ESCAPES.sub("", data.decode(errors="replace")) if isinstance(data, bytes) else ""


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Host": "rebound.example:80"},
    ],
)
def test_other_pages_are_refused(url: str, headers: dict[str, str]) -> None:
    assert httpx.get(url, headers=headers).status_code == httpx.codes.FORBIDDEN
    if "Origin" in headers:
        with pytest.raises(InvalidStatus), connect(f"ws{url.removeprefix('http')}/ws", origin=headers["Origin"]):  # type: ignore[arg-type]
            pass


def test_the_page_may_load_nothing_from_elsewhere(url: str) -> None:
    policy = httpx.get(url).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'") and "googleapis" not in policy


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--web", "--once"], "go without --web"),
        (["--web", "--record", "x.jsonl"], "go without --web"),
        (["--web", "--replay", "no-such-file"], "can't read no-such-file"),
        (["--web", "--demo", "--host", "192.0.2.1"], "can't serve on 192.0.2.1"),
    ],
)
def test_what_is_wrong_is_said_before_a_browser_comes(words: list[str], said: str) -> None:
    done = lamps("top", *words)
    assert done.returncode == ExitCode.USAGE
    assert said in done.stderr and "Traceback" not in done.stderr
