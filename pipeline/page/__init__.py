"""The page to try a model on and to correct its answers: what it consists of, and its server on this machine.

Standard library only: whoever has containers need not install anything to look at it.
"""
