"""LMP406: a decision on a prediction that may be a default."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.catalogue import SIGNALS, STATISTICS
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import INFO, Rule
from policy_dsl.lint.subject import Subject
from policy_dsl.lint.syntax import below

_COMPARISONS = ("<", "<=", ">", ">=")


class UnknownPrediction(Rule):
    """A prediction compared with a bound, or used as a hold's length, without asking `.known` anywhere.

    ## Why

    For a tool that was never seen, a prediction is a default: the decision that it makes is then
    a guess, and one that looks like knowledge. Say what should happen to the unknown.

    ## Avoid

    ```lamps
    on call if call.duration <= 2s { preserve for 5s } else { discard }
    ```

    ## Prefer

    ```lamps
    on call if call.duration.known and call.duration <= 2s { preserve for 5s } else { discard }
    ```
    """

    code, name, severity = "LMP406", "unknown-prediction", INFO

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        asked = {p.path.removesuffix(".known") for p in s.every(nodes.Path) if p.path.endswith(".known")}
        reported: set[str] = set()
        for place in _decisions(s):
            for path in below(place):
                if not isinstance(path, nodes.Path):
                    continue
                base, _, stat = path.path.rpartition(".")
                signal = base if stat in STATISTICS else path.path
                if signal in SIGNALS and SIGNALS[signal].distribution and signal not in asked | reported:
                    reported.add(signal)
                    help = f"ask `{signal}.known` too"
                    yield self.finding(f"`{signal}` is a default where nothing is known", path.span, help=help)


def _decisions(s: Subject) -> Iterator[nodes.Syntax]:
    """Comparisons, but those inside `chance(...)`, and lengths of holds."""
    chances = {id(a.args[0]) for a in s.every(nodes.Apply) if a.function.name == "chance" and a.args}
    for e in s.every(nodes.Infix):
        if e.op in _COMPARISONS and id(e) not in chances:
            yield from (side for side in (e.left, e.right) if isinstance(side, nodes.Path))
    yield from (link.lasts for link in s.every(nodes.Link) if isinstance(link.lasts, nodes.Path))


RULE = UnknownPrediction
