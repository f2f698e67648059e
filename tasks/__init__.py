"""What is measured: metrics, corpora and one file per task family."""
