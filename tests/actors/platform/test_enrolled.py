"""The local list of engines, where its disk is full."""

import errno
import os
from datetime import UTC, datetime

from actors.fleet.enrolled import EnrolledEngines
from store.engines import EngineRow

AT = datetime(2026, 1, 5, tzinfo=UTC)


def row(engine_id):
    return EngineRow(
        engine_id=engine_id,
        name=engine_id,
        account_id=f"A-{engine_id}",
        secret_hash=b"h",
        public_key=None,
        version=None,
        trading_mode=None,
        last_seen_at=None,
        created_at=AT,
        rotated_at=None,
        deregistered_at=None,
    )


def kept(file):
    engines = EnrolledEngines(file)
    return sorted(e.engine_id for e in engines.everyone()) if engines.read_file() else None


def test_a_full_disk_costs_the_file_and_not_the_start_and_no_removed_engine_stays_in_it(tmp_path, monkeypatch):
    file = tmp_path / "engines.json"
    engines = EnrolledEngines(file)
    engines.replace([row("E1"), row("E2")])
    assert kept(file) == ["E1", "E2"]

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        engines.replace([row("E1")])
    assert (engines.get("E2"), engines.is_complete) == (None, True)
    assert kept(file) is None
    engines.replace([row("E1")])  # nothing new, but the disk has room again
    assert kept(file) == ["E1"]
