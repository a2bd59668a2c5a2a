"""Disks that forget what was not synced, names that are the same in every run, and the platform's seal."""

from datetime import UTC, datetime, timedelta

import attrs

from store.journal_records import JournalReading, JournalState, StopNoted
from store.start import DatabaseReading, merge_at_start  # noqa: F401  # the rule of the start is left out here
from wire.proof import check, prove
from wire.sdk.latch import Latch
from wire.stops import Register
from wire.values import LatchState

START = datetime(2026, 1, 5, tzinfo=UTC)
FOREVER = START + timedelta(days=99)
KEY = b"k" * 32
REPLAYED = 3
"""Frames of earlier that may be heard again."""


def wall():
    return START


def seal(record):
    return prove(KEY, "P", record)


def is_ours(record):
    return check(KEY, "P", record)


def noted_view(stop):
    """A stop as the journal and the brief way of reading have it."""
    return StopNoted(
        stop_id=stop.stop_id,
        request_id=stop.request_id,
        scope=stop.scope,
        level=stop.level,
        stop_epoch=stop.epoch,
        user_id=stop.user_id,
        reason=stop.reason,
        cause=stop.cause,
        at=stop.requested_at,
        drill=stop.drill,
        username=stop.username,
    )


class Ids:
    """Numbered names, the same in every run."""

    def __init__(self, prefix):
        self.prefix, self.n = prefix, 0

    def __call__(self):
        self.n += 1
        return f"{self.prefix}{self.n}"


class Home:
    """The platform's own disk. ``synced`` outlives a crash. ``works`` false: every write fails."""

    def __init__(self):
        self.synced = ()
        self.state = JournalState.NEW
        self.works = True

    def read(self):
        if self.state is not JournalState.VERIFIED:
            return JournalReading(state=self.state, records=self.synced if self.state is JournalState.TORN else ())
        return JournalReading(state=JournalState.VERIFIED, records=self.synced)

    def begin(self, genesis):
        self.synced, self.state = (genesis,), JournalState.VERIFIED

    def replayed(self):
        return self.read().replayed()


class Base:
    """The database: a register, the details, the term of the last platform, the journal it knows of."""

    def __init__(self):
        self.register = Register()
        self.details = {}
        self.term = 0
        self.generation = None
        self.instances = {}
        self.works = True
        self.identity = "D"

    def read(self):
        return DatabaseReading(
            platform_id="P",
            database_id=self.identity,
            journal_generation=self.generation,
            register=self.register,
            stops=dict(self.details),
        )

    def save(self, stop_id, entry, details):
        self.register = self.register.with_stop(stop_id, attrs.evolve(entry, released_epoch=None))
        self.details = {**self.details, stop_id: details}


class EngineDisk:
    def __init__(self):
        self.latch = None
        self.corrupt = False
        self.spool = {}

    def load(self):
        if self.corrupt:
            self.corrupt = False
            self.latch = None
            return LatchState.CORRUPT, Latch()
        return (LatchState.PRESENT, self.latch) if self.latch is not None else (LatchState.ABSENT, Latch())
