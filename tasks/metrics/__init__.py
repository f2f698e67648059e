"""Pure functions that count, and divide last."""
