"""The HTTP interface: submissions, results and comparisons for programs, with tokens and roles."""
