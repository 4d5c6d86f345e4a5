"""lamps in the API server: what the engine can't see goes in with a request, how a turn ended comes back."""
