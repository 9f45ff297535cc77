"""Programs that measure Seamline, for anyone to run: `python -m benchmarks <name> [--quick] [--out FOLDER]`.

Each compares things in turns within one run, prints tables, and writes them with every round and a picture. `all` runs
every benchmark; `page` puts the results into docs/benchmarks.md.
"""
