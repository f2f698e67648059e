"""Submissions: checked checkpoints, the store of their files, the queue, and the workers that run them."""
