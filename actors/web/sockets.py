"""Listening sockets, prepared before a server gets them."""

import errno
import socket

from actors.config import Address
from actors.errors import Refused

STALLED_MS = 3000
"""How long written bytes may wait for a peer's acknowledgement, zero windows included, before TCP gives it up."""


def listen(address: Address, name: str, *, backlog: int = 256) -> socket.socket:
    """A listening TCP socket. Raises Refused with one clear line; ``name`` is the setting to change."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
        sock.setblocking(False)
        sock.bind((address.host, address.port))
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise Refused(_words(error, address, name)) from None
    return sock


def _words(error: OSError, address: Address, name: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is in use by another program: stop it, or choose another address in {name}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{address} may not be used by this account: choose a port above 1023 in {name}"
    return f"{address} cannot be listened on ({error.strerror or error}): check {name}"
