"""What the tests of the platform and of its links share: a book of stops with readable ids, and moments."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from actors.stops.book import StopBook
from actors.stops.parts import Instant
from wire.stops import Register

START = datetime(2026, 1, 5, 0, 0, tzinfo=UTC)


def at(seconds: float) -> Instant:
    return Instant(seconds, START + timedelta(seconds=seconds))


def prove(record) -> str:
    text = f"{record.stop_id}|{record.scope}|{record.level.value}|{record.stop_epoch}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Ids:
    def __init__(self, prefix="s") -> None:
        self.n = 0
        self.prefix = prefix

    def __call__(self) -> str:
        self.n += 1
        return f"{self.prefix}{self.n}"


def book(register=None, engines=(("E1", "A1"), ("E2", "A1"), ("E3", "A2")), new_id=None) -> StopBook:
    made = StopBook(register or Register(), prove=prove, is_ours=lambda r: r.proof == prove(r), new_id=new_id or Ids())
    for engine_id, account_id in engines:
        made.engine_known(engine_id, account_id)
    made.roster.is_complete = True
    return made


@pytest.fixture
def kit():
    """These pieces by one name."""

    class Kit:
        pass

    kit = Kit()
    kit.at, kit.prove, kit.book, kit.Ids = at, prove, book, Ids
    return kit
