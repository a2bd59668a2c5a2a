"""The durable memory of stops."""

import hashlib
import json
import os
from datetime import UTC, datetime

import attrs
from hypothesis import given
from hypothesis import strategies as st

from wire.sdk.latch import Latch, LatchedStop, decode, encode, load, save
from wire.stops import Level, Scope, StopRecord
from wire.values import LatchState, LocalStopCause

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def stop(
    stop_id="s1", *, scope="all", level=Level.HALT, epoch=1, proof="", released=None, cause=None, asked=(None, 0),
    gone=(0, 0),
):  # fmt: skip
    record = StopRecord(stop_id=stop_id, scope=Scope.parse(scope), level=level, stop_epoch=epoch, proof=proof)
    session, session_epoch = asked
    return LatchedStop(
        record=record,
        reason="r",
        user_id="u",
        at=AT,
        released_epoch=released,
        cause=cause,
        session=session,
        session_epoch=session_epoch,
        cancelled=gone[0],
        liquidated=gone[1],
    )


stops = st.builds(
    stop,
    st.sampled_from(["s1", "s2", "s3"]),
    scope=st.sampled_from(["all", "engine:E1", "symbol:005930", "strategy:E1/x"]),
    level=st.sampled_from(list(Level)),
    epoch=st.integers(1, 20),
    proof=st.sampled_from(["", "p1", "p2"]),
    released=st.none() | st.integers(1, 20),
    cause=st.none() | st.sampled_from(list(LocalStopCause)),
    gone=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    asked=st.just((None, 0)) | st.tuples(st.sampled_from(["20261119", "20261120"]), st.integers(1, 20)),
)
latches = st.lists(stops, max_size=6).map(lambda many: _latched(many))


def _latched(many):
    latch = Latch(platform_id="p")
    for one in many:
        latch = latch.with_stop(one)
    return latch


@given(latches)
def test_what_is_written_is_what_is_read(latch):
    assert decode(encode(latch)) == latch


@given(latches, st.data())
def test_a_changed_or_cut_file_never_reads_as_a_latch(latch, data):
    raw = encode(latch)
    at = data.draw(st.integers(0, len(raw) - 1))
    flipped = raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + raw[at + 1 :]
    assert decode(flipped) is None
    assert decode(raw[:at]) is None


@given(st.lists(stops, max_size=8))
def test_the_latch_and_the_register_agree_about_every_stop(many):
    latch = _latched(many)
    open_now = {stop_id: entry.level for stop_id, entry in latch.register().open_stops()}
    assert open_now == {s.record.stop_id: s.record.level for s in latch.open_stops()}


@given(st.lists(stops, max_size=8), st.sets(st.sampled_from(["s1", "s2", "s3"])), st.integers(1, 30))
def test_a_release_ends_only_what_it_names_and_only_up_to_its_epoch(many, named, epoch):
    before = _latched(many)
    after = before.with_release(named, epoch)
    for was in before.open_stops():
        stop_id = was.record.stop_id
        covered = stop_id in named and was.record.stop_epoch <= epoch
        assert after.find(stop_id).is_open is not covered


def test_a_raised_stop_keeps_the_proof_that_belongs_to_what_it_became():
    latch = Latch().with_stop(stop(level=Level.HALT, epoch=1, proof="low"))
    latch = latch.with_stop(stop(level=Level.FLATTEN, epoch=2, proof="high"))
    latch = latch.with_stop(stop(level=Level.HALT, epoch=1, proof="low"))
    assert latch.find("s1").record.proof == "high"


def test_a_merge_no_proof_speaks_for_has_none():
    latch = Latch().with_stop(stop(level=Level.FLATTEN, epoch=1, proof="a"))
    latch = latch.with_stop(stop(level=Level.HALT, epoch=2, proof="b"))
    assert latch.find("s1").record.proof == ""


def test_a_saved_latch_is_present_and_a_missing_one_absent(tmp_path):
    path = tmp_path / "latch.json"
    assert load(path) == (LatchState.ABSENT, Latch())
    latch = Latch().with_stop(stop())
    save(path, latch)
    assert load(path) == (LatchState.PRESENT, latch)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_corrupt_latch_is_kept_aside_for_a_person(tmp_path):
    path = tmp_path / "latch.json"
    path.write_bytes(b"nonsense")
    assert load(path)[0] is LatchState.CORRUPT
    assert path.with_suffix(".corrupt").read_bytes() == b"nonsense"


def test_a_corrupt_latch_is_corrupt_at_every_start_until_another_is_safe(tmp_path):
    path = tmp_path / "latch.json"
    path.write_bytes(b"nonsense")
    assert [load(path)[0] for _ in range(2)] == [LatchState.CORRUPT] * 2
    save(path, Latch())
    assert load(path)[0] is LatchState.PRESENT


def test_a_corrupt_latch_halts_also_where_no_copy_of_it_can_be_kept(tmp_path):
    path = tmp_path / "latch.json"
    path.write_bytes(b"nonsense")
    path.with_suffix(".new").mkdir()
    assert load(path)[0] is LatchState.CORRUPT


def test_released_stops_are_forgotten_only_beyond_a_thousand_and_never_their_epoch():
    latch = Latch().with_stop(stop("open"))
    for n in range(1100):
        latch = latch.with_stop(stop(f"n{n}", epoch=n + 2)).with_release([f"n{n}"], n + 2)
    assert len(latch.stops) == 1001
    assert latch.find("open").is_open
    assert latch.register().epoch == 1101


@given(stops, stops)
def test_what_is_gone_by_a_stop_never_becomes_less_by_hearing_of_it_again(one, other):
    merged = one.merge(attrs.evolve(other, record=attrs.evolve(other.record, stop_id=one.record.stop_id)))
    assert merged.cancelled == max(one.cancelled, other.cancelled)
    assert merged.liquidated == max(one.liquidated, other.liquidated)


def test_a_file_of_an_earlier_version_counts_from_nothing():
    (known,) = decode(encode(Latch(stops=(stop(gone=(3, 2)),)))).stops
    assert (known.cancelled, known.liquidated) == (3, 2)
    body = json.loads(encode(Latch(stops=(known,))).partition(b"\n")[0])
    for name in ("cancelled", "liquidated"):
        del body["stops"][0][name]
    old = json.dumps(body).encode()
    (known,) = decode(old + b"\n" + hashlib.blake2b(old, digest_size=16).hexdigest().encode() + b"\n").stops
    assert (known.cancelled, known.liquidated) == (0, 0)
