"""Dimensions: what a number counts, and how dimensions multiply.

A dimension is a vector of rational exponents over five bases. `token·second` is
`TOKEN * SECOND`, a rate is `TOKEN / SECOND`. A plain number has every exponent 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

_ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Dim:
    """Exponents of tokens, blocks, bytes, seconds and steps."""

    token: Fraction = _ZERO
    block: Fraction = _ZERO
    byte: Fraction = _ZERO
    second: Fraction = _ZERO
    step: Fraction = _ZERO

    def _exponents(self) -> tuple[Fraction, ...]:
        return (self.token, self.block, self.byte, self.second, self.step)

    def __hash__(self) -> int:
        # A type is hashed with every node that is made, and hashing a Fraction takes a modular inverse.
        return hash(tuple(exponent.numerator for exponent in self._exponents()))

    def __mul__(self, other: Dim) -> Dim:
        return Dim(*(a + b for a, b in zip(self._exponents(), other._exponents(), strict=True)))

    def __truediv__(self, other: Dim) -> Dim:
        return Dim(*(a - b for a, b in zip(self._exponents(), other._exponents(), strict=True)))

    def __pow__(self, exponent: Fraction) -> Dim:
        return Dim(*(a * exponent for a in self._exponents()))

    def __str__(self) -> str:
        """`tokens`, `token·seconds`, `seconds/token`, or `number`."""
        over = [(n, e) for n, e in zip(_NAMES, self._exponents(), strict=True) if e > 0]
        under = [(n, -e) for n, e in zip(_NAMES, self._exponents(), strict=True) if e < 0]
        if not over and not under:
            return "number"
        top = "·".join(map(_power, over)) + "s" if over and over[-1][1] == 1 else "·".join(map(_power, over))
        return (top or "1") + "".join("/" + _power(u) for u in under)


_NAMES = ("token", "block", "byte", "second", "step")


def _power(base: tuple[str, Fraction]) -> str:
    name, exponent = base
    return name if exponent == 1 else f"{name}^{exponent}" if exponent.denominator == 1 else f"{name}^({exponent})"


NUMBER = Dim()
TOKEN = Dim(token=Fraction(1))
BLOCK = Dim(block=Fraction(1))
BYTE = Dim(byte=Fraction(1))
SECOND = Dim(second=Fraction(1))
STEP = Dim(step=Fraction(1))

# Suffixes of quantity literals: dimension and size in its base unit.
SUFFIXES: dict[str, tuple[Dim, float]] = {
    "ns": (SECOND, 1e-9),
    "us": (SECOND, 1e-6),
    "ms": (SECOND, 1e-3),
    "s": (SECOND, 1.0),
    "min": (SECOND, 60.0),
    "h": (SECOND, 3600.0),
    "tok": (TOKEN, 1.0),
    "blk": (BLOCK, 1.0),
    "B": (BYTE, 1.0),
    "KiB": (BYTE, 1024.0),
    "MiB": (BYTE, 1024.0**2),
    "GiB": (BYTE, 1024.0**3),
    "step": (STEP, 1.0),
    "steps": (STEP, 1.0),
    "%": (NUMBER, 0.01),
}

# Names usable as types of function arguments: `let f(x: tokens, t: duration)`.
NAMED: dict[str, Dim] = {
    "number": NUMBER,
    "tokens": TOKEN,
    "blocks": BLOCK,
    "bytes": BYTE,
    "duration": SECOND,
    "steps": STEP,
}
