"""The screens by the names that keys and options use, in the order of their numbers."""

from __future__ import annotations

from tui.views.base import View
from tui.views.calls import Calls
from tui.views.decisions import Decisions
from tui.views.fleet import Fleet
from tui.views.overview import Overview
from tui.views.policy import PolicyView
from tui.views.predictors import Predictors
from tui.views.queue import Queue

VIEWS: dict[str, type[View]] = {
    "overview": Overview,
    "queue": Queue,
    "calls": Calls,
    "policy": PolicyView,
    "decisions": Decisions,
    "predictors": Predictors,
    "fleet": Fleet,
}
