"""The board as plain files, for a web server with no Python behind it."""
