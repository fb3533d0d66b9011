"""What revetl costs, measured: `python -m benchmarks` prints a table."""
