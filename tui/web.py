"""The monitor in a browser: textual-serve runs the same program for every visitor, who can watch and tell it nothing.

Loopback unless told otherwise. Any page that a browser on this machine shows could open a web socket to a local port,
so only the monitor's own page may; and that page may load nothing from elsewhere.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")


class NoWeb(RuntimeError):
    """textual-serve is not installed."""


def serve(arguments: Sequence[str], host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve `lamps top ARGUMENTS` at host:port until interrupted. Raises `NoWeb`, OSError for a port that is taken."""
    try:
        from textual_serve.server import Server
    except ImportError:
        raise NoWeb("textual-serve is not installed") from None
    program = "from lamps_cli.main import main; main()"
    command = shlex.join([sys.executable, "-c", program, "top", "--read-only", *arguments])
    url = url_of(host, port)
    server = Server(command, host=host, port=port, title="lamps top", public_url=url)
    plain = server._make_app

    async def guarded() -> Any:
        app = await plain()
        app.middlewares.append(_own_page_only(host, url))
        return app

    async def announced(app: Any) -> None:
        say(f"lamps top is on {url}, for whoever reaches it; ctrl+c ends it")

    server._make_app, server.on_startup = guarded, announced
    server.initialize_logging = lambda: None  # its own tells every request, and all variables where something fails
    server.serve()


def url_of(host: str, port: int) -> str:
    """The address that browsers are told: of this machine where *host* means all its networks."""
    import socket

    name = socket.gethostname() if host in _EVERYWHERE else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _own_page_only(host: str, url: str) -> Any:
    """Refuses web pages of others, and names for this machine that aren't its own (a name that was rebound)."""
    from aiohttp import web

    port = urlsplit(url).port
    names = {*LOOPBACK, urlsplit(url).hostname} if host in LOOPBACK else None
    near = f"'self' {url}"
    policy = (
        f"default-src {near}; connect-src {near} ws://{urlsplit(url).netloc}; img-src {near} data:; "
        f"font-src {near} data:; script-src {near} 'unsafe-inline'; style-src {near} 'unsafe-inline'; "
        "frame-ancestors 'none'"
    )

    def ours(place: str) -> bool:
        found = urlsplit(place)
        return found.port == port and (names is None or found.hostname in names)

    @web.middleware
    async def check(request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        host_asked, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not ours(f"//{host_asked}") or (origin is not None and not ours(origin)):
            raise web.HTTPForbidden(text="lamps top answers to its own page only")
        response = await handler(request)
        if request.path == "/":
            response.headers["Content-Security-Policy"] = policy
        return response

    return check
