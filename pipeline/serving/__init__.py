"""Servers that hold a model store: the official container, or `model_server` as a process where there is no Docker."""
