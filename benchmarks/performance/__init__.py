"""How fast citedesk is, and how much it takes, beside what else one could use; see `python -m benchmarks.performance --help`."""
