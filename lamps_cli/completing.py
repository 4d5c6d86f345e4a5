"""What the shell offers for the values of options: shipped names, and files where a file is taken too."""

from __future__ import annotations

from collections.abc import Iterable

import click
from click.shell_completion import CompletionItem

PREDICTIONS = {
    "online": "learned from what was seen before",
    "learned": "by the model that `lamps predictor train` made; learned:FILE",
    "tool": "the client tells which tool it will call",
    "oracle": "the client tells every length and duration",
    "noise:0.3": "the oracle, each number off by 30 %",
}


def policies(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A shipped policy, `stock`, or a file."""
    return _names(_policies(), incomplete)


def policy_list(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same for the last of a list with commas."""
    before, comma, _last = incomplete.rpartition(",")
    taken = set(before.split(","))
    return _names([f"{before}{comma}{name}" for name in _policies() if name not in taken], incomplete)


def traces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A shipped trace, or a file."""
    from engine_adapter.workload.trace import SHIPPED

    return _names(SHIPPED, incomplete)


def profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A shipped profile, or a file."""
    from engine_adapter.virtual.profile import shipped

    return _names(shipped(), incomplete)


def predictions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a simulated engine may be told."""
    return [CompletionItem(word, help=text) for word, text in PREDICTIONS.items() if word.startswith(incomplete)]


def _policies() -> list[str]:
    import policies

    return [*policies.shipped(), "stock", "stock-no-cache"]


def _names(known: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """The names that begin so; the shell offers files beside them."""
    names = [CompletionItem(name) for name in known if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]
