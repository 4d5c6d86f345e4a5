"""Which of two predictors foretells better, as far as lately can tell.

A trained model may be of another time, another model or other people's traffic. So it is believed only as long as the
statistics that learn online don't do better: then it costs a server little to have one.
"""

from __future__ import annotations

import math

# What was true so many turns ago counts 1/e.
WINDOW = 256.0
# Turns before anybody is judged.
FEW = 32.0
# How much worse than its rival the one in force may be, so that two alike don't take turns.
_SLACK = 1.05


class Trust:
    """Errors of two predictors of the same lengths, of their logarithms: twice as long is as wrong as half as long."""

    def __init__(self) -> None:
        self.learned = self.online = self._weight = 0.0
        self.deserved = True
        """Whether the learned one is to be believed."""

    def compare(self, learned: float, online: float, actual: float) -> bool:
        """Both foretold a length that was *actual*, tokens. Returns whether that changes who is believed."""
        fade = 1.0 - 1.0 / WINDOW
        self._weight = self._weight * fade + 1.0
        self.learned = self.learned * fade + _error(learned, actual)
        self.online = self.online * fade + _error(online, actual)
        if self._weight < FEW:
            return False
        before = self.deserved
        self.deserved = self.learned <= self.online * (_SLACK if before else 1.0 / _SLACK)
        return self.deserved != before

    @property
    def ratio(self) -> float:
        """The learned one's error as a share of the other's; NaN before there is any."""
        return self.learned / self.online if self.online else math.nan


def _error(foretold: float, actual: float) -> float:
    return abs(math.log1p(max(foretold, 0.0)) - math.log1p(actual))
