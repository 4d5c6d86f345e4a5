"""Bytes to the text of a policy: UTF-8 without a byte order mark, lines that end in a newline character."""

from __future__ import annotations

from policy_dsl.diagnostics import codes
from policy_dsl.diagnostics.model import Diagnostic, Severity, Source, Span

LARGEST = 256 * 1024  # bytes; policies have a few KiB


def decode(data: bytes, path: str) -> Source | Diagnostic:
    """The text, or why *data* is none. Give at most `LARGEST + 1` bytes; more are not looked at."""
    if len(data) > LARGEST:
        return _unreadable(Source(path, ""), f"this file is larger than a policy can be ({LARGEST // 1024} KiB)", 1, 1)
    source = Source(path, _plain(data.decode("utf-8", "replace")))
    if "\0" in source.text:
        return _unreadable(Source(path, ""), "this is not a text file: it holds a zero byte", 1, 1)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = _plain(data[: error.start].decode("utf-8"))
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return _unreadable(source, "this is not UTF-8 text", line, column)
    return source


def _plain(text: str) -> str:
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _unreadable(source: Source, message: str, line: int, column: int) -> Diagnostic:
    span = Span(source, line, column, line, column + 1)
    return Diagnostic(codes.UNREADABLE, Severity.ERROR, message, span)
