"""A book of stops over three engines."""

import hashlib
from types import SimpleNamespace

import pytest

from actors.stops.book import StopBook


def prove(record) -> str:
    return hashlib.sha256(f"{record.stop_id}|{record.scope}|{record.stop_epoch}".encode()).hexdigest()[:32]


def book(register):
    made = StopBook(register, prove=prove, is_ours=lambda r: r.proof == prove(r), new_id=lambda: "s1")
    made.engine_known("E1", "A1")
    return made


@pytest.fixture
def kit():
    return SimpleNamespace(book=book)
