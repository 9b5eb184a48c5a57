"""Benchmarks: what a workflow costs, in seconds of CPU and of waiting. `python -m loadtest --help`."""
