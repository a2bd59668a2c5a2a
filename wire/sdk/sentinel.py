"""The STOP file: a person's stop that needs no platform and no network."""

from pathlib import Path

from wire.stops import Level

SENTINEL = "STOP"


def asked_level(path: Path) -> Level | None:
    """The level that the file's first word asks for; None when there is no file. Blocking.

    Whatever is not understood, or cannot be read, means the strictest.
    """
    try:
        words = path.read_text(encoding="utf-8", errors="replace")[:200].split()
    except FileNotFoundError:
        return None
    except OSError:
        words = []
    word = words[0].upper() if words else ""
    return Level(word) if word in {lv.value for lv in Level if lv is not Level.NORMAL} else Level.FLATTEN


def put_away(path: Path) -> None:
    """The stop is latched: the file has done its work, and only a release ends the stop. Blocking."""
    path.replace(path.with_name(f"{SENTINEL}.taken"))
