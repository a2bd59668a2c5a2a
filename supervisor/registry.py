"""Names of one system. A name belongs to a child's stable place, so it survives restarts."""

from typing import Generic, TypeVar

from supervisor.errors import SpecError, UnknownActor

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """One dictionary; unique names."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[str, T] = {}

    def register(self, name: str, entry: T) -> None:
        if name in self._entries:
            raise SpecError("name", name, "is taken")
        self._entries[name] = entry

    def release(self, name: str, entry: T) -> None:
        """Free the name if it still belongs to `entry`."""
        if self._entries.get(name) is entry:
            del self._entries[name]

    def find(self, name: str) -> T | None:
        return self._entries.get(name)

    def look_up(self, name: str) -> T:
        """Raises `UnknownActor`, which shows a few names that exist."""
        entry = self._entries.get(name)
        if entry is None:
            raise UnknownActor(name, tuple(sorted(self._entries))[:12])
        return entry

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)
