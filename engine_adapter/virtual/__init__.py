"""Virtual time: vLLM's own scheduler and KV manager, with a modelled model and a clock that jumps from step to step.

What needs vLLM is imported when a simulation begins; profiles, simulations and their results are had without it.
"""
