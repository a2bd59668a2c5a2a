"""The STOP file: whatever it is, it is a stop; whoever writes into it last is heard."""

import os

import pytest

from wire.sdk.sentinel import asked_level, put_away
from wire.stops import Level


@pytest.mark.parametrize(
    ("content", "level"),
    [
        (b"", Level.FLATTEN),
        (b"halt", Level.HALT),
        (b"\n  CANCEL, please", Level.FLATTEN),
        (b"cancel please", Level.CANCEL),
        (b"REDUCE_ONLY\n", Level.REDUCE_ONLY),
        (b"NORMAL", Level.FLATTEN),
        (b"\xff\xfe", Level.FLATTEN),
        (b"HALT " + b"x" * 1_000_000, Level.HALT),
    ],
)
def test_the_first_word_is_the_level_and_what_is_not_understood_is_the_strictest(tmp_path, content, level):
    (tmp_path / "STOP").write_bytes(content)
    assert asked_level(tmp_path / "STOP") is level


def folder(path):
    path.mkdir()
    (path / "note").write_text("HALT")


def unreadable(path):
    path.symlink_to(path.with_name("nowhere"))


KINDS = {"folder": folder, "pipe": os.mkfifo, "dangling link": unreadable, "file": lambda path: path.touch()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [None, *KINDS])
def test_whatever_it_is_it_stops_and_is_put_away(tmp_path, kind, before):
    stop = tmp_path / "STOP"
    if before is not None:
        KINDS[before](tmp_path / "STOP.taken")
    KINDS[kind](stop)
    assert asked_level(stop) is Level.FLATTEN
    assert put_away(stop) is Level.FLATTEN
    assert asked_level(stop) is None
    assert not os.path.lexists(stop)


def test_there_is_none_where_nobody_put_one(tmp_path):
    assert asked_level(tmp_path / "STOP") is None
    assert put_away(tmp_path / "STOP") is None


def test_what_was_written_after_it_was_read_is_told(tmp_path):
    stop = tmp_path / "STOP"
    stop.write_text("HALT")
    assert asked_level(stop) is Level.HALT
    stop.write_text("FLATTEN")
    assert put_away(stop) is Level.FLATTEN
