"""Programs that measure Seamline, for anyone to run: `python -m benchmarks <name> [--quick] [--out FOLDER]`.

Each compares things in turns within one run, prints tables, and writes JSON and a picture. `all` runs every one of them;
`page` puts the results into docs/benchmarks.md.
"""
