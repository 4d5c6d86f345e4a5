"""Measures an engine from outside and fits the profile that virtual time and the cost model use."""
