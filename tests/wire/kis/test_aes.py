"""AES-256-CBC against published and broker vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import Malformed
from wire.kis.aes import Cipher

KEY, IV = b"0123456789abcdef0123456789abcdef", b"fedcba9876543210"
RECEIPT = (
    "testid01^1234567801^0000017468^^02^0^00^0^005930^0000000010^000071800^093010^0^1^1^00950^000000010^TESTER"
    "^000000000^1^Y^^10^^SAMSUNG^000000000",
    "/zV1jIjSMPOhKBAeJPzzjum8kCHNArbkxg7jK4XbIXs3aW9DrlfQZTyFQDTihSxs2qWyz4Reqi1qYaevJzJ838/DB2LcAghML2hxKd6tXEsO9Get"
    "zO3+DV2ljgpjGCrRu2k+toKHDNOLiEfurLvmwo2QH3AE/KvRZ5neGtmlXdVUN0+DjWI7qgax1Aa5htjj",
)
FILL = (
    "testid01^1234567801^0000017468^^02^0^00^0^005930^0000000004^000071800^093012^0^2^2^00950^000000010^TESTER"
    "^000000000^1^Y^^10^^SAMSUNG^000071800",
    "/zV1jIjSMPOhKBAeJPzzjum8kCHNArbkxg7jK4XbIXs3aW9DrlfQZTyFQDTihSxsA/ctB9WGh2f1ZDXSYGukCfRndTAREP19CTDQuYPo4tW9pf+a"
    "764EQC47nXy+Scph0tkGKEzFmc9X4jkcWZ/P8YJpEW5tJ3ueqf0OZQKyOvPALpDsoPc/Wb5FAfJ++3vQ",
)
MOCK_FILL = (
    "testid01^1234567801^0000017468^^02^0^00^0^005930^0000000004^000071800^093012^0^2^2^00950^000000010^TESTER"
    "^1Y^10^        ^SAMSUNG^000071800",
    "/zV1jIjSMPOhKBAeJPzzjum8kCHNArbkxg7jK4XbIXs3aW9DrlfQZTyFQDTihSxsA/ctB9WGh2f1ZDXSYGukCfRndTAREP19CTDQuYPo4tW9pf+a"
    "764EQC47nXy+ScphqssJ15cvaCWM338KwpzG33+iHgZ2dcQgRR8PL3F77aaKcYnwo68aSN1Res7k++Vg",
)


@pytest.mark.parametrize(("plain", "encoded"), [RECEIPT, FILL, MOCK_FILL])
def test_the_brokers_notices_are_read_and_written(plain, encoded):
    cipher = Cipher(KEY, IV)
    assert cipher.decrypt_text(encoded) == plain
    assert cipher.encrypt_text(plain) == encoded


def test_the_block_of_the_standard():
    cipher = Cipher(bytes(range(32)), bytes(16))
    plain, secret = 0x00112233445566778899AABBCCDDEEFF, 0x8EA2B7CA516745BFEAFC49904B496089
    assert cipher.decrypt_block(secret) == plain
    assert cipher.encrypt_block(plain) == secret


@given(st.binary(max_size=200), st.binary(min_size=32, max_size=32), st.binary(min_size=16, max_size=16))
def test_what_was_encrypted_comes_back(plain, key, iv):
    cipher = Cipher(key, iv)
    secret = cipher.encrypt(plain)
    assert len(secret) % 16 == 0
    assert len(plain) < len(secret) <= len(plain) + 16
    assert cipher.decrypt(secret) == plain


@given(st.binary(min_size=32, max_size=32).filter(lambda key: key != KEY))
def test_another_key_never_reads_the_notice(key):
    try:
        read = Cipher(key, IV).decrypt_text(RECEIPT[1])
    except Malformed:
        return
    assert read != RECEIPT[0]


@pytest.mark.parametrize("encoded", ["", "abc", "AAAA", "%%%%", "A" * 64, "é" * 24])
def test_a_broken_notice_is_malformed(encoded):
    with pytest.raises(Malformed):
        Cipher(KEY, IV).decrypt_text(encoded)


@pytest.mark.parametrize(("key", "iv"), [(b"short", IV), (KEY, b"short"), (KEY + b"x", IV)])
def test_a_key_of_the_wrong_length_is_refused(key, iv):
    with pytest.raises(ValueError):
        Cipher(key, iv)
