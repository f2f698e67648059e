"""Models trained here, with their weights."""
