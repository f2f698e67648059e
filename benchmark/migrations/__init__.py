"""Schema of the results store, version by version."""
