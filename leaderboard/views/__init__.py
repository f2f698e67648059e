"""The pages of the leaderboard: each has a function `show`, and is thin over the pure modules beside this folder."""
