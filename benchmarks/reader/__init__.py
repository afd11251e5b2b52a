"""Fit a reader, and judge it by pages that it never saw: `python -m benchmarks.reader --data DIR`."""
