"""Programs that measure Seamline, for anyone to run: `python -m benchmarks <name> [--quick] [--out FOLDER]`.

Each answers one question by comparing things in turns within one run. It prints tables, and writes them with every
round and a picture. `all` runs every benchmark; `page` puts the results into docs/benchmarks.md.
"""
