"""What clients ask of an engine: recorded sessions, when they arrive, and their replay over HTTP. Needs no vLLM."""
