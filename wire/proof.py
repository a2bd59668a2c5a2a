"""The platform's proof that it issued a stop: a MAC over the record, which an engine keeps and shows in its hello.

When a platform has lost every copy of a stop, an engine's latch brings it back. With a valid proof the stop returns
with its whole scope; without one only for that engine, so that one engine cannot stop the others.
"""

import hmac
from hashlib import blake2b

from wire.stops import StopRecord

PROOF_HEX_LENGTH = 64
MIN_KEY_BYTES = 32


def prove(key: bytes, platform_id: str, record: StopRecord) -> str:
    """The proof of ``record`` (its own ``proof`` field is not looked at): 64 hexadecimal digits."""
    if len(key) < MIN_KEY_BYTES:
        raise ValueError(f"a proof key has at least {MIN_KEY_BYTES} bytes")
    mac = blake2b(digest_size=PROOF_HEX_LENGTH // 2, key=key[:64], person=b"wk-stop-proof-1")
    for field in (platform_id, record.stop_id, str(record.scope), record.level.value, str(record.stop_epoch)):
        # The length in front of each field keeps two records from having the same text.
        data = field.encode()
        mac.update(len(data).to_bytes(4, "big") + data)
    return mac.hexdigest()


def check(key: bytes, platform_id: str, record: StopRecord) -> bool:
    """Whether ``record.proof`` was made by ``prove`` for exactly these fields; takes the same time either way."""
    return hmac.compare_digest(prove(key, platform_id, record).encode(), record.proof.encode())
