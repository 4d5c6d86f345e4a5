"""What each tenant was served: the counters by which policies share an engine out.

A tenant that comes back after having nothing here would find its counters behind everybody's, and then hold the engine
until they are level. So they are lifted to the least of the tenants that are active (VTC, arXiv 2401.00588,
Algorithm 2; there the sum is lifted, here prompt and output each by itself).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

# Tenants that have nothing here are remembered for their counters; the names are the clients', so there is a bound.
MAX_INACTIVE = 4096


@dataclass(slots=True)
class Account:
    """One tenant. *charged_prompt*: tokens of prompts that were admitted; *charged_output*: generated ones.

    *served*: seconds that its requests have run, those that run now counted from 0: see `served_s`.
    """

    waiting: int = 0
    running: int = 0
    charged_prompt: float = 0.0
    charged_output: float = 0.0
    served: float = 0.0

    def waits_no_more(self) -> None:
        """One of its requests was taken out of the queue: to run, or for good."""
        self.waiting -= 1

    def runs(self, now: float) -> None:
        """One of its requests runs from *now* on."""
        self.running += 1
        self.served -= now

    def runs_no_more(self, now: float) -> None:
        """It has ended, or was preempted."""
        self.running -= 1
        self.served += now

    def served_s(self, now: float) -> float:
        """Seconds its requests have run until *now*, added up."""
        return self.served + self.running * now


class Tenants:
    """All accounts, by the tenant's name. Every operation is O(1) but the return of a tenant, O(active ones)."""

    def __init__(self) -> None:
        self._active: dict[str, Account] = {}
        self._inactive: OrderedDict[str, Account] = OrderedDict()

    def account(self, name: str) -> Account:
        """That of tenant *name*, made if there is none."""
        found = self._active.get(name) or self._inactive.get(name)
        if found is None:
            found = self._inactive[name] = Account()
            while len(self._inactive) > MAX_INACTIVE:
                self._inactive.popitem(last=False)
        return found

    def waits(self, name: str, account: Account) -> None:
        """One of its requests begins to wait."""
        if name not in self._active:
            self._inactive.pop(name, None)
            if self._active:
                others = self._active.values()
                account.charged_prompt = max(account.charged_prompt, min(a.charged_prompt for a in others))
                account.charged_output = max(account.charged_output, min(a.charged_output for a in others))
            self._active[name] = account
        account.waiting += 1

    def ended(self, name: str, account: Account) -> None:
        """One of its requests has ended; perhaps it was the last."""
        if account.waiting or account.running or name not in self._active:
            return
        del self._active[name]
        self._inactive[name] = account
        while len(self._inactive) > MAX_INACTIVE:
            self._inactive.popitem(last=False)
