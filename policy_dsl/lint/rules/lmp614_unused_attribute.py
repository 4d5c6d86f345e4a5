"""LMP614: a class attribute that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator

from policy_dsl import nodes
from policy_dsl.diagnostics.model import Diagnostic
from policy_dsl.lint.rule import Rule
from policy_dsl.lint.subject import Subject

_EFFECTIVE = "reserve"  # feeds `engine.reserved_elsewhere` by itself


class UnusedAttribute(Rule):
    """An attribute of the classes that no rule reads as `class.NAME`.

    ## Why

    Attributes are data: they do nothing by themselves. A `weight` that no rule reads weighs
    nothing, and whoever raises it waits for an effect.

    ## Avoid

    ```lamps
    class chat when request.priority < 0 { weight: 4 }
    class rest                           { weight: 1 }
    rank request.arrival
    ```

    ## Prefer

    ```lamps
    class chat when request.priority < 0 { weight: 4 }
    class rest                           { weight: 1 }
    rank request.arrival
    victim class.weight, highest request.arrival
    ```
    """

    code, name = "LMP614", "unused-attribute"

    def check(self, s: Subject) -> Iterator[Diagnostic]:
        first = s.first(nodes.ClassStatement)
        read = {p.path for p in s.every(nodes.Path)}
        for attribute in first.attributes if first is not None else ():
            name = attribute.name.name
            if f"class.{name}" not in read and name != _EFFECTIVE:
                help = f"read `class.{name}` in a rule, or remove it from all classes"
                yield self.finding("no rule reads this attribute", attribute.name.span, help=help)


RULE = UnusedAttribute
