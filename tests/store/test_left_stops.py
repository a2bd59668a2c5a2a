"""A stop left while no platform runs is there at the next start, whatever happened to its file."""

import os
from datetime import UTC, datetime

import pytest

from store.journal_records import StopNoted, evolve
from store.left_stops import FOLDER, UNREADABLE, collect, forget, leave
from wire.rest.stops import StopRequest
from wire.stops import Level, Scope

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def a_stop(stop_id, level=Level.FLATTEN):
    return StopNoted(
        stop_id=stop_id,
        request_id=stop_id,
        scope=Scope.everything(),
        level=level,
        stop_epoch=0,
        user_id="local",
        reason="불",
        cause="local",
        at=NOW,
    )


def test_nothing_was_left(tmp_path):
    assert collect(tmp_path, NOW) == []


def test_what_was_left_is_collected_until_it_is_forgotten(tmp_path):
    paths = [leave(tmp_path, a_stop("A")), leave(tmp_path, a_stop("B", Level.HALT))]
    assert {stop.stop_id for _, stop in collect(tmp_path, NOW)} == {"A", "B"}
    assert dict(collect(tmp_path, NOW))[paths[0]] == a_stop("A")
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in paths)
    forget(paths[0])
    forget(paths[0])
    assert [stop for _, stop in collect(tmp_path, NOW)] == [a_stop("B", Level.HALT)]


def test_a_stop_that_is_left_is_on_the_disk_before_anybody_is_told(tmp_path, monkeypatch):
    """Its text before its name, then its folder, and the home that holds that folder."""
    steps, sync, rename = [], os.fsync, type(tmp_path).rename

    def synced(descriptor):
        steps.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def renamed(path, target):
        steps.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(type(tmp_path), "rename", renamed)
    path = leave(tmp_path, a_stop("A"))
    assert steps == [str(path.with_suffix(".new")), "renamed", str(tmp_path / FOLDER), str(tmp_path)]


@pytest.mark.parametrize("text", [b"", b"{", b'{"stop_id": "A"}', b"\xff", b"[" * 10_000])
def test_a_file_that_cannot_be_read_halts_everything(tmp_path, text):
    path = leave(tmp_path, a_stop("A")).rename(tmp_path / FOLDER / "- odd name.json")
    path.write_bytes(text)
    [(_, stop)] = collect(tmp_path, NOW)
    assert collect(tmp_path, NOW) == [(path, stop)]
    assert (stop.scope, stop.level, stop.cause) == (Scope.everything(), Level.HALT, UNREADABLE)


@pytest.mark.parametrize(
    "odd", [{"level": Level.NORMAL}, {"reason": "x" * 501}, {"request_id": "two words"}, {"request_id": ""}]
)
def test_what_nobody_can_ask_for_halts_everything_and_keeps_no_platform_from_starting(tmp_path, odd):
    path = leave(tmp_path, evolve(a_stop("A"), **odd))
    [(found, stop)] = collect(tmp_path, NOW)
    assert (found, stop.scope, stop.level, stop.cause) == (path, Scope.everything(), Level.HALT, UNREADABLE)
    StopRequest(request_id=stop.request_id, scope=stop.scope, level=stop.level, reason=stop.reason)


def test_a_write_that_was_cut_off_is_no_stop(tmp_path):
    leave(tmp_path, a_stop("A"))
    (tmp_path / FOLDER / "half.new").write_text("{")
    assert [stop.stop_id for _, stop in collect(tmp_path, NOW)] == ["A"]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_halts_everything_and_nobody_waits_for_it(tmp_path, make):
    leave(tmp_path, a_stop("A"))
    make(tmp_path / FOLDER / "odd.json")
    stops = {path.name: stop for path, stop in collect(tmp_path, NOW)}
    assert len(stops) == 2
    assert (stops["odd.json"].level, stops["odd.json"].cause) == (Level.HALT, UNREADABLE)


def test_a_stop_that_is_taken_back_while_the_others_are_read_is_no_stop(tmp_path, monkeypatch):
    gone, kept = leave(tmp_path, a_stop("A")), leave(tmp_path, a_stop("B"))
    looked = type(gone).lstat

    def lstat(path):
        gone.unlink(missing_ok=True)
        return looked(path)

    monkeypatch.setattr(type(gone), "lstat", lstat)
    assert collect(tmp_path, NOW) == [(kept, a_stop("B"))]


def test_a_folder_that_is_none_halts_everything(tmp_path):
    (tmp_path / FOLDER).write_text("")
    [(_, stop)] = collect(tmp_path, NOW)
    assert (stop.level, stop.cause) == (Level.HALT, UNREADABLE)
