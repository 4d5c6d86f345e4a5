"""Which policy decides: the one that was chosen, the one before it while a new one is on trial, or the built-in order.

The built-in order is first come, first served with nothing held for paused sessions: a policy of two lines that can't
fail. It is in force when an operator says `off`, and from the moment the guard trips; in both cases until told
otherwise. All changes are made between two steps.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable
from functools import cache

from engine_adapter.runtime.guard import Guard
from policy_dsl.compiled import CompiledPolicy, compile_policy
from policy_dsl.loading import load_text

logger = logging.getLogger("lamps")

# A new policy is on trial for so long: while it is, the guard brings back the one before it.
TRIAL_S = 300.0

ON, OFF, EJECTED = "on", "off", "ejected"

_BUILT_IN = """lamps 1
policy built_in "First come, first served; no KV cache is held for anybody."
rank request.arrival
on call discard
"""


@cache
def built_in() -> CompiledPolicy:
    """What decides where no policy does."""
    loaded = load_text(_BUILT_IN, "<built in>")
    assert loaded.policy is not None, loaded.diagnostics
    return compile_policy(loaded.policy, loaded.source)


class InForce:
    """Of one engine. *adopt* puts a policy in force, *give_back* gives back all that is held for paused sessions."""

    def __init__(
        self,
        chosen: CompiledPolicy,
        adopt: Callable[[CompiledPolicy], None],
        give_back: Callable[[], object],
        guard: Guard,
        counters: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self.chosen = chosen
        self.state = ON
        self.reason = ""
        """Why the state is not "on", or what became of the last policy that was tried."""
        self.before_ejection: Callable[[str], None] | None = None
        """Told why, while all is as it was."""
        self._previous: CompiledPolicy | None = None
        self._trial_until = -math.inf
        self._adopt = adopt
        self._give_back = give_back
        self._guard = guard
        self._counters = counters
        self._clock = clock
        built_in()  # compiled now, not when it is needed

    @property
    def on_trial(self) -> bool:
        """Whether the guard would bring back the policy before."""
        return self.state == ON and self._previous is not None and self._clock() < self._trial_until

    def turn_off(self, reason: str = "told to") -> None:
        """The built-in order decides, until `turn_on`."""
        self._set_aside(OFF, reason)
        logger.warning("lamps: off: policy %s is set aside: %s", self.chosen.name, reason)

    def turn_on(self) -> None:
        """The chosen policy decides (again), with a clean account. Raises what its rules do; then nothing changes."""
        if self.state == ON:
            return
        self._adopt(self.chosen)
        self.state, self.reason = ON, ""
        logger.warning("lamps: on: policy %s, revision %s", self.chosen.name, self.chosen.revision)

    def replace(self, policy: CompiledPolicy, trial_s: float = TRIAL_S) -> None:
        """*policy* is chosen, and decides from the next step on; while off, once it is turned on.

        Raises what its rules do; then nothing changes.
        """
        if self.state == OFF:
            self.chosen = policy
            return
        self._adopt(policy)
        # One that the guard has thrown out is nothing to return to.
        self._previous = self.chosen if self.state == ON else None
        self._trial_until = self._clock() + trial_s
        self.chosen, self.state, self.reason = policy, ON, ""
        self._counters["reloads"] += 1
        logger.warning("lamps: policy %s, revision %s, is in force", policy.name, policy.revision)

    def new_step(self) -> None:
        """A step begins; to be called where the guard has tripped."""
        reason = self._guard.tripped
        if self.before_ejection is not None:
            try:
                self.before_ejection(reason)
            except Exception:
                logger.exception("lamps: the state at the ejection could not be kept")
        if self.on_trial and self._returned(reason):
            return
        self._counters["guard.ejections"] += 1
        self._set_aside(EJECTED, reason)
        logger.error(
            "lamps: policy %s, revision %s, is ejected: %s. Requests are served first come, first served, and nothing "
            "is held for paused sessions, until `lamps on` or `lamps reload`",
            self.chosen.name, self.chosen.revision, reason,
        )  # fmt: skip

    def _returned(self, reason: str) -> bool:
        """Whether the policy before is in force again."""
        previous, failed = self._previous, self.chosen
        assert previous is not None
        try:
            self._adopt(previous)
        except Exception:
            logger.exception("lamps: policy %s can't be returned to", previous.name)
            return False
        self.chosen, self._previous = previous, None
        self.reason = f"{failed.name}, revision {failed.revision}, was taken back: {reason}"
        self._counters["guard.returns"] += 1
        logger.error("lamps: %s. Policy %s, revision %s, is in force", self.reason, previous.name, previous.revision)
        return True

    def _set_aside(self, state: str, reason: str) -> None:
        self._adopt(built_in())
        self._give_back()
        self.state, self.reason = state, reason
