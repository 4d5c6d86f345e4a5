"""Policies on the real server: docs/results.md."""
