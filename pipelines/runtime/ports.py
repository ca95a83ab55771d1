"""Ports as they are given on a command line, asked for before anything that takes seconds is loaded."""

from __future__ import annotations

import socket

from pipelines.runtime.errors import ParamsError


def port_of(text: str) -> int:
    """Reads a port, for argparse; ParamsError names the value where it is none."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ParamsError(f"PORT = {text!r} is no port; a whole number from 1 to 65535 would be right")
    return int(text)


def require_free(host: str, *, port: int) -> None:
    """ParamsError where nothing can listen there: the port is taken or reserved, or the host is not this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed one is free at once
            tried.bind(address)
    except OSError as error:
        raise ParamsError(
            f"PORT = {port} on {host} cannot be had: {error.strerror or error}; "
            "a free one, on an address of this machine, would be right"
        ) from None
