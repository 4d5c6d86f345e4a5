"""What the monitor tells a live server: off and on, another policy, other params. No recording can be told anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine_adapter.control.changes import Answer, Refusal, change
from engine_adapter.control.client import Unreachable


@dataclass(frozen=True, slots=True)
class Commands:
    """*urls*: of the servers, by the names that the source gives them. *key*: of their API.

    *policy*: the body of a reload for a file or the name of a shipped policy; raises ValueError with all that is wrong.
    """

    urls: Mapping[str, str]
    key: str | None
    policy: Callable[[str], Mapping[str, Any]]

    def tell(self, server: str, what: str, body: Mapping[str, Any]) -> Answer:
        """What the engines of *server* answer. ValueError, with a sentence, where nothing was changed."""
        try:
            return change(self.urls[server], what, body, self.key)
        except Refusal as problem:
            raise ValueError(f"nothing was changed: {problem}") from None
        except Unreachable as problem:
            raise ValueError(f"{problem}: {problem.hint}" if problem.hint else str(problem)) from None
