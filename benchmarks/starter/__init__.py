"""The recipe of the weights that ship: `python -m benchmarks.starter --photos <folder>`.

model/starter/README.md tells what came of it.
"""
