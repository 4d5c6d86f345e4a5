"""LMP301: no bound on being overtaken."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import ir, nodes
from policy_dsl.diagnostics.model import Diagnostic, Span
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject


class UnboundedWait(Rule):
    """No proof that a request is not overtaken for ever.

    What counts as a proof: the first rank key is the arrival (*order*); `promote` must hold for
    every request that has waited long enough (*guard*); the rank falls with the wait until it lies
    below that of whatever arrives (*ageing*). A limit on what runs that is given out `by` an order
    needs the same of that order. `lamps lint -v` prints the verdict and its bound. The
    check is sound and incomplete: a policy may be fair for reasons it doesn't see. What is proved
    is that from some wait on no later arrival starts first, not that the wait is short.

    ## Why

    A steady stream of small requests starves a large one under any order that prefers small, and
    a stream of urgent ones starves the rest under strict priority. Operators find out when a user
    complains.

    ## Avoid

    ```lamps
    rank predict.output, request.arrival
    ```

    ## Prefer

    ```lamps
    param patience = 1min in 1s..1h       # a request that waited this long goes first
    rank predict.output, request.arrival
    promote when request.waited >= patience
    ```
    """

    code, name = "LMP301", "unbounded-wait"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        if s.overtaking.word != "unproved":
            return
        promote = s.first(nodes.PromoteStatement)
        if promote is not None:
            yield self.finding("a request may be overtaken for ever", _place(promote), s.overtaking.sentence, _HELP)
            return
        limit = s.overtaking.limit
        if limit is not None:
            yield self.finding("a request may be overtaken for ever", s.place(limit.span), s.overtaking.sentence, _HELP)
            return
        first = s.policy.rank[0].expr
        strict = isinstance(first, ir.Read) and first.key in ("request.priority", "session.priority")
        message = "strict priority may starve the lower classes" if strict else "a request may be overtaken for ever"
        rank = s.first(nodes.RankStatement)
        span = s.title if rank is None else rank.keys[0].expr.span
        yield self.finding(message, span, s.overtaking.sentence, _HELP)


def _place(promote: nodes.PromoteStatement) -> Span:
    return promote.when.span


_HELP = "add `promote when request.waited >= 1min`, or, if it is meant, `# lamps: allow unbounded-wait -- why` above it"

RULE = UnboundedWait
