"""How many files and sockets this process may hold open, and how many of them are for whom."""

import resource

WANTED = 16_384
"""Both listeners full, and room for files and the database."""
RESERVED = 256
"""What no listener may take: the emergency doors, the journal, the database, and what is opened for a moment."""
FEWEST = 32


def allow() -> None:
    """As many as are wanted, where the system lets this account: often 1024 by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def for_a_listener(wanted: int) -> int:
    """How many connections one of the two listeners may keep, at most ``wanted``."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(FEWEST, min(wanted, (soft - RESERVED) // 2))
