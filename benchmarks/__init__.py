"""Side-by-side measurements, each against its peer in the same run: ``python -m benchmarks --help``."""
