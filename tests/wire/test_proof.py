import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.proof import check, prove
from wire.stops import Level, Scope, StopRecord

KEY = bytes(range(32))
RECORD = StopRecord(stop_id="s1", scope=Scope.everything(), level=Level.HALT, stop_epoch=7)


@given(data=st.data())
def test_a_proof_holds_for_its_record_and_for_no_other(strategy, data):
    record, other = (data.draw(strategy(StopRecord)) for _ in range(2))
    proven = attrs.evolve(record, proof=prove(KEY, "P", record))
    assert check(KEY, "P", proven)
    same = attrs.evolve(other, proof="") == attrs.evolve(record, proof="")
    assert check(KEY, "P", attrs.evolve(other, proof=proven.proof)) == same


@pytest.mark.parametrize(
    "change",
    [
        {"stop_id": "s2"},
        {"scope": Scope.of_engine("E1")},
        {"level": Level.FLATTEN},
        {"stop_epoch": 8},
        {"proof": ""},
        {"proof": "한"},
    ],
)
def test_every_field_is_under_the_proof(change):
    proven = attrs.evolve(RECORD, proof=prove(KEY, "P", RECORD))
    assert not check(KEY, "P", attrs.evolve(proven, **change))


def test_another_platform_or_key_proves_nothing():
    proven = attrs.evolve(RECORD, proof=prove(KEY, "P", RECORD))
    assert not check(KEY, "Q", proven)
    assert not check(bytes(32), "P", proven)


def test_fields_do_not_run_into_each_other():
    assert prove(KEY, "Ps", attrs.evolve(RECORD, stop_id="1")) != prove(KEY, "P", RECORD)


def test_a_short_key_is_refused():
    with pytest.raises(ValueError, match="32"):
        prove(b"short", "P", RECORD)
