"""Envelope encryption: a ring of numbered keys, one data key per value, the value's place bound to it.

A sealed value is ``magic · key number · key check · wrapped data key · body``, both parts XChaCha20-Poly1305. The
context (table, row, column) is associated data of both: a value moved to another row does not open. Rotation seals only
the data key anew. Beside the keys stands one root that never rotates; what must survive rotation (token signing, engine
secrets, stop proofs, the audit chain, the journal) is derived from it by purpose.

The file is text, ``root:BASE64`` and ``number:BASE64`` lines, the first number being the active key; mode 0600.
"""

import base64
import binascii
import hashlib
import os
import secrets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from nacl.exceptions import CryptoError
from nacl.secret import Aead

from store.errors import KeysError, Sealed, UnknownKey

KEY_BYTES = 32
_MAGIC = b"\xe5W\x01"
_HEAD = len(_MAGIC) + 4 + 4
_WRAPPED = 24 + KEY_BYTES + 16
_SHORTEST_BODY = 24 + 16


class KeyRing:
    """Keys in memory. Never shown: not in repr, not in errors."""

    def __init__(self, *, root: bytes, keys: Mapping[int, bytes], active: int) -> None:
        if active not in keys or any(len(key) != KEY_BYTES for key in (root, *keys.values())):
            raise KeysError("a key ring needs a root and numbered keys of 32 bytes each, one of them active")
        self.active = active
        self._root = root
        self._keys = dict(keys)
        self._checks = {number: _hash(key, b"key check", 4) for number, key in keys.items()}

    def __repr__(self) -> str:
        return f"<KeyRing {sorted(self._keys)}, active {self.active}>"

    @property
    def numbers(self) -> list[int]:
        return sorted(self._keys)

    @property
    def check(self) -> str:
        """Tells this ring from another without telling a key; the database keeps it."""
        return _hash(self._root, b"ring check", 16).hex()

    @classmethod
    def generate(cls) -> Self:
        return cls(root=secrets.token_bytes(KEY_BYTES), keys={1: secrets.token_bytes(KEY_BYTES)}, active=1)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text of a key file. Raises KeysError without repeating any of it."""
        root, keys = b"", dict[int, bytes]()
        for line in filter(None, (line.strip() for line in text.replace(",", "\n").splitlines())):
            name, colon, encoded = line.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
                number = 0 if name == "root" else int(name)
            except (binascii.Error, ValueError):
                raise KeysError("the key ring file holds a line that is not name:BASE64") from None
            if not colon or (root if name == "root" else number in keys):
                raise KeysError("the key ring file names a key twice")
            if name == "root":
                root = key
            else:
                keys[number] = key
        if not keys:
            raise KeysError("the key ring file holds no key")
        return cls(root=root, keys=keys, active=next(iter(keys)))

    def text(self) -> str:
        """The text of the key file: a secret."""
        order = [self.active, *sorted((n for n in self._keys if n != self.active), reverse=True)]
        lines = [f"root:{base64.b64encode(self._root).decode()}"]
        lines += [f"{number}:{base64.b64encode(self._keys[number]).decode()}" for number in order]
        return "\n".join(lines) + "\n"

    def derive(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same for ever. Different purposes tell nothing of each other."""
        return _hash(self._root, b"derive", KEY_BYTES, purpose.encode())

    # --- rotation -----------------------------------------------------------------------------------------------

    def with_new_key(self) -> "KeyRing":
        """The same ring with a further key, which is the active one."""
        number = max(self._keys) + 1
        return KeyRing(root=self._root, keys={**self._keys, number: secrets.token_bytes(KEY_BYTES)}, active=number)

    def without(self, number: int) -> "KeyRing":
        """Retire a key; only when no sealed value names it any more."""
        if number == self.active:
            raise KeysError("the active key cannot be retired")
        if number not in self._keys:
            raise KeysError(f"key {number} is not in the ring")
        return KeyRing(root=self._root, keys={n: k for n, k in self._keys.items() if n != number}, active=self.active)

    # --- values -------------------------------------------------------------------------------------------------

    def seal(self, plain: bytes, *context: str) -> bytes:
        """123 bytes longer than ``plain``. ``context`` names the value's place, e.g. table, row, column."""
        data_key = secrets.token_bytes(KEY_BYTES)
        return self._head(data_key, context) + bytes(Aead(data_key).encrypt(plain, _bound(context)))

    def open(self, blob: bytes, *context: str) -> bytes:
        """Raises UnknownKey, or Sealed when the value was altered or belongs to another place."""
        number, wrapped, body = self._split(blob)
        try:
            return bytes(Aead(self._unwrap(number, wrapped, context)).decrypt(body, _bound(context)))
        except CryptoError:
            raise Sealed("the sealed value was altered, or belongs to another place") from None

    def rewrap(self, blob: bytes, *context: str) -> bytes:
        """The same value under the active key; the body stays as it is."""
        number, wrapped, body = self._split(blob)
        if number == self.active:
            return bytes(blob)
        return self._head(self._unwrap(number, wrapped, context), context) + body

    def number_of(self, blob: bytes) -> int:
        """The number of the key a value is sealed with."""
        return self._split(blob)[0]

    def _head(self, data_key: bytes, context: tuple[str, ...]) -> bytes:
        number = self.active
        wrapped = Aead(self._keys[number]).encrypt(data_key, _bound(("data key", str(number), *context)))
        return _MAGIC + struct.pack(">I", number) + self._checks[number] + bytes(wrapped)

    def _split(self, blob: bytes) -> tuple[int, bytes, bytes]:
        blob = bytes(blob)
        if not blob.startswith(_MAGIC) or len(blob) < _HEAD + _WRAPPED + _SHORTEST_BODY:
            raise Sealed("not a sealed value")
        number = int.from_bytes(blob[len(_MAGIC) : len(_MAGIC) + 4], "big")
        if self._checks.get(number) != blob[len(_MAGIC) + 4 : _HEAD]:
            raise UnknownKey(f"key {number} is not in the ring, or is another key of that number")
        return number, blob[_HEAD : _HEAD + _WRAPPED], blob[_HEAD + _WRAPPED :]

    def _unwrap(self, number: int, wrapped: bytes, context: tuple[str, ...]) -> bytes:
        try:
            return bytes(Aead(self._keys[number]).decrypt(wrapped, _bound(("data key", str(number), *context))))
        except CryptoError:
            raise Sealed("the sealed value was altered, or belongs to another place") from None


class KeyFile:
    """The file of a key ring (``WATCHKEEPER_KEYS``, by default ``keys`` in the home folder). Writing is atomic."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        return self.path.exists()

    def load(self) -> KeyRing:
        """Raises KeysError when the file is missing, open to others, or no key ring."""
        try:
            mode = self.path.stat().st_mode
            text = self.path.read_text(encoding="ascii")
        except FileNotFoundError:
            raise KeysError(f"the key ring {self.path} is missing") from None
        except (OSError, UnicodeError) as error:
            raise KeysError(f"the key ring {self.path} cannot be read ({type(error).__name__})") from None
        if mode & 0o077:
            raise KeysError(f"the key ring {self.path} is open to others: chmod 600 {self.path}")
        return KeyRing.parse(text)

    def load_or_create(self, *, encrypted_data_exists: bool) -> KeyRing:
        """The ring, made at the first start only: with encrypted data about, a missing file is refused."""
        if self.exists():
            return self.load()
        if encrypted_data_exists:
            raise KeysError(
                f"the key ring {self.path} is missing, but the database holds data encrypted with it: "
                "restore the file, or set WATCHKEEPER_KEYS to where it is"
            )
        ring = KeyRing.generate()
        self.save(ring)
        return ring

    def save(self, ring: KeyRing) -> None:
        """Replaces the file; after a crash there is the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(ring.text())
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise KeysError(f"the key ring {self.path} cannot be written ({error.strerror})") from None
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _hash(key: bytes, person: bytes, size: int, message: bytes = b"") -> bytes:
    return hashlib.blake2b(message, key=key, digest_size=size, person=b"wk " + person).digest()


def _bound(context: tuple[str, ...]) -> bytes:
    """Unambiguous: every part carries its length."""
    parts = [part.encode() for part in context]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
