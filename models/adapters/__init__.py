"""Models that people bring."""
