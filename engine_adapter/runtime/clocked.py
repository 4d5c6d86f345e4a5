"""Signals of a waiting row that follow from the clock: no column is written for them while it waits."""

from __future__ import annotations

SINCE = {
    "request.age": ("now", "request.arrival"),
    "request.waited": ("now", "wait.start"),
    "request.waited_steps": ("step", "wait.start_step"),
    "session.age": ("now", "session.arrival"),
    "session.waited": ("now", "wait.session_start"),
}
"""What each is: "now" or "step", less a column."""
