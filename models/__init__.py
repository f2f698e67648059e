"""What is measured on: adapters for models that people bring, and baselines trained here.

Importing this registers them; what is heavy is imported when a model is made.
"""

from audiometry.models import adapters, baselines

__all__ = ["adapters", "baselines"]
