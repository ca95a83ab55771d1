"""Ports given on a command line, checked before anything slow is loaded."""

from __future__ import annotations

import socket

from pipelines.runtime.errors import ParamsError


def port_of(text: str) -> int:
    """Return the port that a text names; ParamsError names an invalid value."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ParamsError(f"invalid PORT = {text!r}: expected an integer from 1 to 65535")
    return int(text)


def require_free(host: str, *, port: int) -> None:
    """Raise ParamsError when nothing can listen there: port in use or reserved, or not an address of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port just closed is free
            tried.bind(address)
    except OSError as error:
        raise ParamsError(
            f"cannot listen on PORT = {port} of {host}: {error.strerror or error}; "
            "choose a free port on an address of this machine"
        ) from None
