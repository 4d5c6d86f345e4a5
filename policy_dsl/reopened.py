"""A loaded policy opened again: parts of its syntax as IR, to say what each is worth or whether two mean the same."""

from __future__ import annotations

from policy_dsl import definitions
from policy_dsl.catalogue import DECLARED
from policy_dsl.elaborate import Elaborator
from policy_dsl.loading import Loaded


def reopened(loaded: Loaded) -> Elaborator:
    """An elaborator that knows the names of *loaded*. ValueError when the policy has errors."""
    if loaded.policy is None:
        raise ValueError(f"{loaded.source.path} has errors")
    el = Elaborator(dict(loaded.definitions))
    for definition in loaded.definitions.values():
        definitions.param(el, definition)
    el.declared_signals.update({n: t for n, t in loaded.types.items() if n.partition(".")[0] in DECLARED})
    el.handling = loaded.policy.handling
    return el
