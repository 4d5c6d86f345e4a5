"""Fills in the made parts of the pages in docs/: tables from the catalogue, findings, output of commands.

A made part stands between `<!-- begin: SECTION WORDS -->` and `<!-- end -->`; all around it is written
by hand. `python docs/generate.py` (`make docs`) writes the pages, a test asserts that they are current.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import sections

from lamps_cli.main import COMMANDS, run
from policy_dsl.diagnostics.full import render
from policy_dsl.loading import load_text

DOCS = Path(__file__).parent
PART = re.compile(r"(<!-- begin: (?P<what>[^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
WRONG = re.compile(r"(^```lamps wrong [^\n]*\n(?P<text>.*?)^```\n)(?:\n```text\n.*?^```\n)?", re.DOTALL | re.MULTILINE)
# The estimate of what a policy costs; a page changes only when something else does.
MEASURED = re.compile(r"^\S+: cost: .*$", re.MULTILINE)


def pages() -> list[Path]:
    """All pages of docs/, in order of path."""
    return sorted(DOCS.glob("**/*.md"))


def filled(text: str, folder: Path) -> str:
    """The text of a page with its made parts made anew; *folder* is where its commands run and its files lie."""

    def part(match: re.Match[str]) -> str:
        return f"{match[1]}\n{_made(match['what'], folder).strip()}\n\n{match[3]}"

    text = PART.sub(part, text)
    return WRONG.sub(lambda m: f"{m[1]}\n```text\n{said_of(m['text'])}\n```\n", text)


def _made(what: str, folder: Path) -> str:
    word, _, rest = what.partition(" ")
    if word == "run":
        return _session(shlex.split(rest), folder)
    if word == "file":
        return f"```lamps\n{(folder / rest).read_text(encoding='utf-8')}```"
    section: Callable[..., str] = getattr(sections, word)
    return section(*([rest] if rest else []))


def _session(words: list[str], folder: Path) -> str:
    """A command line and what it prints; a sentence where this version has no such command."""
    assert words[0] == "lamps", words
    if words[1] not in COMMANDS:
        return f"*`lamps {words[1]}` is not in this version yet.*"
    return f"```console\n$ {shlex.join(words)}\n{output(words[1:], folder).rstrip()}\n```"


def output(arguments: list[str], folder: Path) -> str:
    """What `lamps` prints, stderr behind stdout, in *folder* and without what a machine has measured."""
    out, err = io.StringIO(), io.StringIO()
    with _in(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        run(["--color", "never", *arguments])
    return out.getvalue() + err.getvalue()


@contextlib.contextmanager
def _in(folder: Path) -> Iterator[None]:
    before, cache = Path.cwd(), os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as empty:
        os.environ["XDG_CACHE_HOME"] = empty
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)
            del os.environ["XDG_CACHE_HOME"]
            if cache is not None:
                os.environ["XDG_CACHE_HOME"] = cache


def whole(text: str) -> str:
    """A block as a file: a fragment gets the header, and a `policy` statement where it has none."""
    if text.lstrip().startswith("lamps "):
        return text
    named = re.search(r"^policy ", text, re.MULTILINE)
    return ("lamps 1\n" if named else 'lamps 1\npolicy example "An example."\n') + text


def said_of(text: str) -> str:
    """The findings on a wrong block, as `lamps lint` shows them."""
    loaded = load_text(whole(text), "wrong.lamps")
    return "\n\n".join(render(finding).rstrip() for finding in loaded.diagnostics)


def main() -> None:
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled(before, page.parent)
        if MEASURED.sub("", before) != MEASURED.sub("", after):
            page.write_text(after, encoding="utf-8")
            print(f"wrote {page.relative_to(DOCS.parent)}", file=sys.stderr)


if __name__ == "__main__":
    main()
