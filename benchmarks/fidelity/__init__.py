"""How far virtual time is from the real engine: the same sessions on both, with a profile that was fitted to others."""
