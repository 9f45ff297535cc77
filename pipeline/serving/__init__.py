"""Servers of a model store: the official container, or a process of this machine where there is no Docker."""
