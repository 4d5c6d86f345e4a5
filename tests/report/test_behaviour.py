"""Results of the reproduction are kept by what virtual time does: whoever changes that says so."""

from __future__ import annotations

from benchmarks.reproduction.behaviour import BEHAVIOUR, behaviour


def test_the_results_are_of_what_virtual_time_does() -> None:
    """When a change is meant to decide otherwise, write the new hash into BEHAVIOUR: `make reproduce` then starts anew.

    A change that is not meant to has changed something all the same.
    """
    assert behaviour() == BEHAVIOUR
