"""The monitor in a browser: textual-serve runs the same program for every visitor. Loopback unless told otherwise."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence


class NoWeb(RuntimeError):
    """textual-serve is not installed."""


def serve(arguments: Sequence[str], host: str, port: int) -> None:
    """Serve `lamps top ARGUMENTS` at host:port until interrupted. Raises `NoWeb`, OSError for a port that is taken."""
    try:
        from textual_serve.server import Server
    except ImportError:
        raise NoWeb("textual-serve is not installed") from None
    program = "from lamps_cli.main import main; main()"
    command = shlex.join([sys.executable, "-c", program, "top", *arguments])
    Server(command, host=host, port=port, title="lamps top").serve()
