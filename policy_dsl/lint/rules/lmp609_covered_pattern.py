"""LMP609: a pattern that an earlier one covers."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic, Label
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class CoveredPattern(Rule):
    """A text in `match` or `in` that an earlier pattern matches already.

    ## Why

    The first case that fits is taken: `"web_search"` behind `"web_*"` is never asked.

    ## Avoid

    ```lamps
    on call match call.tool {
      "web_*":      preserve for 5s
      "web_search": preserve for 1s
      _:            discard
    }
    ```

    ## Prefer

    ```lamps
    on call match call.tool {
      "web_search": preserve for 1s
      "web_*":      preserve for 5s
      _:            discard
    }
    ```
    """

    code, name = "LMP609", "covered-pattern"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        for e in s.every(nodes.Syntax):
            match e:
                case nodes.Match(cases=cases) | nodes.DecideMatch(cases=cases):
                    patterns = [p for case in cases for p in case.patterns if isinstance(p, nodes.Text)]
                case nodes.Member():
                    patterns = list(e.patterns)
                case _:
                    continue
            for i, pattern in enumerate(patterns):
                wider = next((w for w in patterns[:i] if _covers(w.value, pattern.value)), None)
                if wider is not None:
                    label = (Label(wider.span, f"matches all that `{pattern.value}` does"),)
                    yield self.finding("this is never asked", pattern.span, "", "put it first, or remove it", label)


def _covers(wide: str, narrow: str) -> bool:
    return narrow == wide or (wide.endswith("*") and narrow.startswith(wide[:-1]))


RULE = CoveredPattern
