"""The key ring and passwords: what is sealed opens in its place alone, and a lost key ring is never made anew."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from store.errors import KeysError, Sealed, UnknownKey
from store.keyring import KeyFile, KeyRing
from store.passwords import Passwords

RING = KeyRing.generate()
texts = st.lists(st.text(max_size=8), max_size=3)


@given(plain=st.binary(max_size=200), context=texts)
def test_a_sealed_value_opens_with_its_context(plain, context):
    blob = RING.seal(plain, *context)
    assert RING.open(blob, *context) == plain
    assert len(blob) == len(plain) + 123
    assert RING.seal(plain, *context) != blob


@given(context=texts, other=texts)
def test_a_sealed_value_opens_nowhere_else(context, other):
    blob = RING.seal(b"secret", *context)
    if context != other:
        with pytest.raises(Sealed):
            RING.open(blob, *other)


@pytest.mark.parametrize("at", range(123 + 6))
def test_a_flipped_bit_is_found_at_every_place(at):
    blob = bytearray(RING.seal(b"secret", "t", "c"))
    blob[at] ^= 1 << at % 8
    with pytest.raises(Sealed):
        RING.open(bytes(blob), "t", "c")


@pytest.mark.parametrize("length", [0, 3, 10, 122])
def test_a_value_cut_short_is_no_sealed_value(length):
    with pytest.raises(Sealed):
        RING.open(RING.seal(b"")[:length])


def test_a_rotation_keeps_every_value_readable_and_then_the_old_key_may_go():
    old = RING.seal(b"secret", "t")
    newer = RING.with_new_key()
    assert newer.open(old, "t") == b"secret"
    fresh = newer.rewrap(old, "t")
    assert newer.rewrap(fresh, "t") == fresh
    assert (newer.number_of(old), newer.number_of(fresh)) == (1, 2)
    assert fresh[83:] == old[83:]
    alone = newer.without(1)
    assert alone.open(fresh, "t") == b"secret"
    with pytest.raises(UnknownKey):
        alone.open(old, "t")


@pytest.mark.parametrize("number", [1, 7])
def test_the_active_key_and_an_unknown_one_cannot_be_retired(number):
    with pytest.raises(KeysError):
        RING.without(number)


def test_another_ring_opens_nothing_and_shows_it():
    with pytest.raises(UnknownKey):
        KeyRing.generate().open(RING.seal(b"x"))
    assert KeyRing.generate().check != RING.check


def test_derived_keys_differ_by_purpose_and_survive_rotation():
    derived = {RING.derive(purpose) for purpose in ("tokens", "audit chain", "")}
    assert len(derived) == 3
    assert all(len(key) == 32 for key in derived)
    assert RING.with_new_key().derive("tokens") == RING.derive("tokens")
    assert RING.with_new_key().check == RING.check


def test_a_ring_is_never_shown():
    shown = repr(RING)
    for line in RING.text().splitlines():
        assert line.partition(":")[2] not in shown


@pytest.mark.parametrize("text", ["", "root:!!", "1:AAAA", "x:AAAA", "nonsense", "root:AAAA\n1:AAAA"])
def test_what_is_no_key_ring_is_refused_without_repeating_it(text):
    with pytest.raises(KeysError) as error:
        KeyRing.parse(text)
    assert "AAAA" not in str(error.value)


def test_a_key_named_twice_is_refused():
    with pytest.raises(KeysError, match="twice"):
        KeyRing.parse(RING.text() + RING.text().splitlines()[1])


# --- the file -------------------------------------------------------------------------------------------------------


def test_the_first_start_makes_the_file_for_its_owner_alone(tmp_path):
    file = KeyFile(tmp_path / "home" / "keys")
    ring = file.load_or_create(encrypted_data_exists=False)
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.load_or_create(encrypted_data_exists=True).check == ring.check
    assert list(file.path.parent.iterdir()) == [file.path]


def test_a_lost_file_is_not_made_anew_while_encrypted_data_exists(tmp_path):
    file = KeyFile(tmp_path / "keys")
    with pytest.raises(KeysError, match="restore") as error:
        file.load_or_create(encrypted_data_exists=True)
    assert "\n" not in str(error.value)
    assert not file.exists()


def test_a_rotated_ring_comes_back_from_its_file_with_the_same_active_key(tmp_path):
    file = KeyFile(tmp_path / "keys")
    newer = RING.with_new_key().with_new_key()
    file.save(newer)
    read = file.load()
    assert (read.active, read.numbers, read.check) == (3, [1, 2, 3], newer.check)
    assert read.open(newer.seal(b"x")) == b"x"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    file = KeyFile(tmp_path / "keys")
    file.save(RING)
    file.path.chmod(mode)
    with pytest.raises(KeysError, match="chmod 600"):
        file.load()


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "keys").mkdir()
    with pytest.raises(KeysError) as error:
        KeyFile(tmp_path / "keys").save(RING)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


# --- passwords --------------------------------------------------------------------------------------------------------


@pytest.fixture
def passwords():
    return Passwords(memory=8 * 1024 * 1024, passes=1)


async def test_the_right_password_alone_is_right(passwords):
    stored = await passwords.hash("정확한 말")
    assert await passwords.verify("정확한 말", stored)
    assert not await passwords.verify("다른 말", stored)
    assert stored != await passwords.hash("정확한 말")
    assert "정확한 말" not in stored


async def test_a_user_that_does_not_exist_is_never_right(passwords):
    assert not await passwords.verify("anything", None)


@pytest.mark.parametrize("password", ["x" * 1025, "x" * 100_000, "\ud800", "a\0b"])
async def test_an_odd_password_is_wrong_and_nothing_worse(passwords, password):
    stored = await passwords.hash("x" * 1024)
    assert not await passwords.verify(password, stored)
    assert await passwords.verify("x" * 1024, stored)


async def test_a_password_that_is_too_long_cannot_be_set(passwords):
    with pytest.raises(ValueError, match="1024"):
        await passwords.hash("가" * 400)


async def test_a_damaged_hash_is_never_right(passwords):
    assert not await passwords.verify("x", "$argon2id$nonsense")


async def test_hashes_wait_for_each_other(passwords):
    running, most = 0, 0
    work = passwords._hash

    def watched(password):
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return work(password)
        finally:
            running -= 1

    passwords._hash = watched
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(passwords.hash, "x")
    assert most == 1


async def test_a_hash_of_another_cost_is_outdated(passwords):
    assert not passwords.is_outdated(await passwords.hash("x"))
    assert Passwords().is_outdated(await passwords.hash("x"))
