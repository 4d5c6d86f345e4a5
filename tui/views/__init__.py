"""The seven screens. Each is shown a moment and draws its part of it."""
