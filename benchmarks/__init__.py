"""Programs that measure, for anyone to run: `python -m benchmarks <name> [--quick] [--out FOLDER]`.

Each alternates what it compares within one run, prints a table, and writes JSON and a picture. `all` runs every one;
`page` puts the tables of what was written into docs/benchmarks.md.
"""
