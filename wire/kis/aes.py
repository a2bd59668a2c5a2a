"""AES-256-CBC with PKCS#7 padding in plain Python, for the order and fill notices of the broker's stream.

libsodium, and so PyNaCl, has no AES-CBC; notices are rare and short, so a table-driven implementation (FIPS-197, one
32-bit lookup per byte and round) is fast enough: well under 1 ms for a notice of 144 bytes. It is not constant-time;
the key comes over the same plain connection as the text it protects, so there is nothing to leak.
"""

import base64

from wire.errors import Malformed

BLOCK = 16
_ROUNDS = 14
_KEY_BYTES = 32


def _times_two(value: int) -> int:
    return (value << 1) ^ (0x11B if value & 0x80 else 0)


def _product(a: int, b: int) -> int:
    """Multiplication in the field of FIPS-197, section 4.2."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a, b = _times_two(a), b >> 1
    return result


def _substitution_box() -> bytes:
    box = bytearray(256)
    p = q = 1
    while True:  # p runs through all non-zero elements, q through their inverses
        p = p ^ _times_two(p)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        rotated = q ^ _rotate8(q, 1) ^ _rotate8(q, 2) ^ _rotate8(q, 3) ^ _rotate8(q, 4)
        box[p] = rotated ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return bytes(box)


def _rotate8(value: int, by: int) -> int:
    return ((value << by) | (value >> (8 - by))) & 0xFF


def _rotations(column: list[int]) -> tuple[tuple[int, ...], ...]:
    """The table for the first row of a column and its three byte-wise right rotations for the other rows."""
    tables = [tuple(column)]
    for _ in range(3):
        tables.append(tuple((word >> 8) | ((word & 0xFF) << 24) for word in tables[-1]))
    return tuple(tables)


def _word(a: int, b: int, c: int, d: int) -> int:
    return (a << 24) | (b << 16) | (c << 8) | d


_BOX = _substitution_box()
_INVERSE = bytes(_BOX.index(value) for value in range(256))
_E0, _E1, _E2, _E3 = _rotations([_word(_product(s, 2), s, s, _product(s, 3)) for s in _BOX])
_D0, _D1, _D2, _D3 = _rotations(
    [_word(_product(s, 14), _product(s, 9), _product(s, 13), _product(s, 11)) for s in _INVERSE]
)


def _substitute(word: int) -> int:
    return _word(_BOX[word >> 24], _BOX[word >> 16 & 255], _BOX[word >> 8 & 255], _BOX[word & 255])


def _unmix(word: int) -> int:
    """InvMixColumns of one round-key word, for the equivalent inverse cipher (FIPS-197, 5.3.5)."""
    plain = _substitute(word)
    return _D0[plain >> 24] ^ _D1[plain >> 16 & 255] ^ _D2[plain >> 8 & 255] ^ _D3[plain & 255]


def _expand(key: bytes) -> list[int]:
    words = [int.from_bytes(key[i : i + 4]) for i in range(0, _KEY_BYTES, 4)]
    constant = 1
    for i in range(8, 4 * (_ROUNDS + 1)):
        word = words[-1]
        if i % 8 == 0:
            word = _substitute(((word << 8) | (word >> 24)) & 0xFFFFFFFF) ^ (constant << 24)
            constant = _times_two(constant)
        elif i % 8 == 4:
            word = _substitute(word)
        words.append(words[i - 8] ^ word)
    return words


class Cipher:
    """One key and one initial vector. Every message starts again from the same vector, as the broker does it."""

    __slots__ = ("_forward", "_inverse", "_iv")

    def __init__(self, key: bytes, iv: bytes) -> None:
        """``key`` is 32 bytes, ``iv`` 16 bytes; ValueError otherwise."""
        if len(key) != _KEY_BYTES or len(iv) != BLOCK:
            raise ValueError("AES-256-CBC takes a key of 32 bytes and a vector of 16")
        self._iv = int.from_bytes(iv)
        self._forward = _expand(key)
        columns = [self._forward[i : i + 4] for i in range(0, 4 * (_ROUNDS + 1), 4)][::-1]
        inner = [_unmix(word) for column in columns[1:-1] for word in column]
        self._inverse = [*columns[0], *inner, *columns[-1]]

    def encrypt(self, plain: bytes) -> bytes:
        """The cipher text; its length is the next multiple of 16 above the plain text's."""
        fill = BLOCK - len(plain) % BLOCK
        padded = plain + bytes([fill]) * fill
        out = bytearray()
        previous = self._iv
        for start in range(0, len(padded), BLOCK):
            previous = self.encrypt_block(previous ^ int.from_bytes(padded[start : start + BLOCK]))
            out += previous.to_bytes(BLOCK)
        return bytes(out)

    def decrypt(self, secret: bytes) -> bytes:
        """The plain text. Malformed when the length or the padding is wrong, as with another key."""
        if not secret or len(secret) % BLOCK:
            raise Malformed("an encrypted text is a multiple of 16 bytes")
        out = bytearray()
        previous = self._iv
        for start in range(0, len(secret), BLOCK):
            block = int.from_bytes(secret[start : start + BLOCK])
            out += (self.decrypt_block(block) ^ previous).to_bytes(BLOCK)
            previous = block
        fill = out[-1]
        if not 1 <= fill <= BLOCK or any(byte != fill for byte in out[-fill:]):
            raise Malformed("the padding of an encrypted text is wrong")
        return bytes(out[:-fill])

    def encrypt_text(self, text: str) -> str:
        """Text to Base64 of its cipher text."""
        return base64.b64encode(self.encrypt(text.encode())).decode()

    def decrypt_text(self, encoded: str) -> str:
        """Base64 of a cipher text to text; Malformed when any layer is wrong."""
        try:
            return self.decrypt(base64.b64decode(encoded, validate=True)).decode()
        except ValueError as error:
            raise Malformed("an encrypted text is Base64 of UTF-8") from error

    def encrypt_block(self, block: int) -> int:
        """One block as a 128-bit number, without chaining."""
        k = self._forward
        a, b = (block >> 96) ^ k[0], (block >> 64 & 0xFFFFFFFF) ^ k[1]
        c, d = (block >> 32 & 0xFFFFFFFF) ^ k[2], (block & 0xFFFFFFFF) ^ k[3]
        for i in range(4, 4 * _ROUNDS, 4):
            a, b, c, d = (
                _E0[a >> 24] ^ _E1[b >> 16 & 255] ^ _E2[c >> 8 & 255] ^ _E3[d & 255] ^ k[i],
                _E0[b >> 24] ^ _E1[c >> 16 & 255] ^ _E2[d >> 8 & 255] ^ _E3[a & 255] ^ k[i + 1],
                _E0[c >> 24] ^ _E1[d >> 16 & 255] ^ _E2[a >> 8 & 255] ^ _E3[b & 255] ^ k[i + 2],
                _E0[d >> 24] ^ _E1[a >> 16 & 255] ^ _E2[b >> 8 & 255] ^ _E3[c & 255] ^ k[i + 3],
            )
        s, last = _BOX, k[4 * _ROUNDS :]
        a, b, c, d = (
            _word(s[a >> 24], s[b >> 16 & 255], s[c >> 8 & 255], s[d & 255]) ^ last[0],
            _word(s[b >> 24], s[c >> 16 & 255], s[d >> 8 & 255], s[a & 255]) ^ last[1],
            _word(s[c >> 24], s[d >> 16 & 255], s[a >> 8 & 255], s[b & 255]) ^ last[2],
            _word(s[d >> 24], s[a >> 16 & 255], s[b >> 8 & 255], s[c & 255]) ^ last[3],
        )
        return (a << 96) | (b << 64) | (c << 32) | d

    def decrypt_block(self, block: int) -> int:
        """The inverse of ``encrypt_block``."""
        k = self._inverse
        a, b = (block >> 96) ^ k[0], (block >> 64 & 0xFFFFFFFF) ^ k[1]
        c, d = (block >> 32 & 0xFFFFFFFF) ^ k[2], (block & 0xFFFFFFFF) ^ k[3]
        for i in range(4, 4 * _ROUNDS, 4):
            a, b, c, d = (
                _D0[a >> 24] ^ _D1[d >> 16 & 255] ^ _D2[c >> 8 & 255] ^ _D3[b & 255] ^ k[i],
                _D0[b >> 24] ^ _D1[a >> 16 & 255] ^ _D2[d >> 8 & 255] ^ _D3[c & 255] ^ k[i + 1],
                _D0[c >> 24] ^ _D1[b >> 16 & 255] ^ _D2[a >> 8 & 255] ^ _D3[d & 255] ^ k[i + 2],
                _D0[d >> 24] ^ _D1[c >> 16 & 255] ^ _D2[b >> 8 & 255] ^ _D3[a & 255] ^ k[i + 3],
            )
        s, last = _INVERSE, k[4 * _ROUNDS :]
        a, b, c, d = (
            _word(s[a >> 24], s[d >> 16 & 255], s[c >> 8 & 255], s[b & 255]) ^ last[0],
            _word(s[b >> 24], s[a >> 16 & 255], s[d >> 8 & 255], s[c & 255]) ^ last[1],
            _word(s[c >> 24], s[b >> 16 & 255], s[a >> 8 & 255], s[d & 255]) ^ last[2],
            _word(s[d >> 24], s[c >> 16 & 255], s[b >> 8 & 255], s[a & 255]) ^ last[3],
        )
        return (a << 96) | (b << 64) | (c << 32) | d
