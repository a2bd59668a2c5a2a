"""Ports of this machine."""

import secrets
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 20_000


def free_port() -> int:
    """One that nobody listens on now, and that is not among those the system gives to whoever connects or binds to 0:
    so nobody has it either while a program is down that comes back to it."""
    given = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    for _ in range(200):
        port = LOWEST + secrets.randbelow(given - LOWEST) if given > LOWEST + 1_000 else 0
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(taken.getsockname()[1])
    raise OSError("no port is free")
