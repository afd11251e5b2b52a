"""How good the answers are, beside what most people build: `python -m benchmarks.quality`."""
