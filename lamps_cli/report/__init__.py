"""What a comparison of policies leaves behind: a page (page.py), a trace of what ran when (chrome_trace.py), and where
two policies decided differently (difference.py).

All of it takes plain values, `workload.result` and `workload.record`, whether an engine in virtual time or a server was
measured; what a server doesn't tell is left out.
"""
