"""What is measured on: adapters for models that people bring, and baselines trained here."""
