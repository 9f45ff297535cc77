"""Programs that measure, for anyone to run: `python -m benchmarks <name> [--quick]`.

Each alternates what it compares within one run, prints a table, and writes JSON and a picture.
"""
