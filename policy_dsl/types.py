"""The types of the language: quantities with a dimension, instants, bool, text, handling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from policy_dsl.units import NUMBER, Dim


class Kind(Enum):
    QUANTITY = "quantity"
    INSTANT = "instant"
    BOOL = "bool"
    TEXT = "text"
    HANDLING = "handling"


class Handling(IntEnum):
    """What happens to the KV cache of a session during a call. The numbers are the codes used in columns."""

    PRESERVE = 0
    DISCARD = 1
    SWAP = 2
    NONE = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Type:
    kind: Kind
    dim: Dim = NUMBER

    def __str__(self) -> str:
        return str(self.dim) if self.kind is Kind.QUANTITY else self.kind.value


BOOL = Type(Kind.BOOL)
TEXT = Type(Kind.TEXT)
HANDLING = Type(Kind.HANDLING)
INSTANT = Type(Kind.INSTANT)


def quantity(dim: Dim = NUMBER) -> Type:
    return Type(Kind.QUANTITY, dim)
