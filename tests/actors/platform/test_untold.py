"""What the journal decided and the audit log may lack."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from actors.stops.untold import decisions
from store.journal_records import EpochNoted, Genesis, ReleaseNoted, StopNoted
from wire.stops import Level, Scope

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NOW = AT + timedelta(hours=1)


def noted(stop_id="s1", epoch=1, level=Level.HALT, **fields):
    base = {"user_id": "kim", "reason": "fire", "cause": "operator", "at": AT}
    return StopNoted(
        stop_id=stop_id,
        request_id=stop_id,
        scope=Scope.everything(),
        level=level,
        stop_epoch=epoch,
        **{**base, **fields},
    )


def told(*records):
    return [(e.id, e.action, e.actor, e.at) for e in decisions(records, NOW)]


def test_what_was_taken_and_raised_is_told_in_its_order():
    assert told(noted(), noted("s2", 2), noted(epoch=3, level=Level.FLATTEN, user_id="lee")) == [
        ("s1@1", "stop.taken", "kim", AT),
        ("s2@2", "stop.taken", "kim", AT),
        ("s1@3", "stop.raised", "lee", NOW),
    ]
    assert decisions([noted()], NOW)[0].detail == "all HALT fire"
    assert [e.drill for e in decisions([noted(), noted("s2", 2, drill=True)], NOW)] == [False, True]


def test_who_repeated_a_stop_is_not_known_and_nobody_is_made_up():
    assert told(noted(), noted(epoch=2)) == [("s1@1", "stop.taken", "kim", AT), ("s1@2", "stop.again", "platform", NOW)]


def test_one_decision_is_one_entry_however_often_it_was_written_down():
    genesis = Genesis(platform_id="p", database_id="d", generation=2, at=AT, stops=[noted()])
    epoch = EpochNoted(epoch=2, term=1, at=AT)
    release = ReleaseNoted(stop_ids=["s1"], epoch=2, user_id="lee", at=AT)
    assert told(genesis, noted(), epoch, release) == [("s1@1", "stop.taken", "kim", AT)]


@pytest.mark.parametrize("epoch", [1, 2])
def test_what_a_release_left_is_told_by_the_release(epoch):
    assert told(*(attrs.evolve(noted(cause="waived"), stop_epoch=n) for n in range(1, epoch + 1))) == []
