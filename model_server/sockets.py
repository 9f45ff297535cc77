"""Bind a listening address, with an error that names the port."""

from __future__ import annotations

import socket

import grpc

from model_server.errors import StatusError


def bind(address: str, port: int) -> socket.socket:
    """A bound TCP socket that does not listen yet. Raises UNAVAILABLE."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise cannot_bind(f"{address} port {port}", error.strerror or str(error)) from error
    return listener


def cannot_bind(address: str, reason: str) -> StatusError:
    """Why the server cannot start."""
    return StatusError(grpc.StatusCode.UNAVAILABLE, f"Cannot listen on {address}: {reason}")
