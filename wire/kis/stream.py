"""The broker's WebSocket: registrations, control messages, PINGPONG and the data frames, read and written.

A data frame is ``<enc>|<tr_id>|<count>|<payload>`` with ``count`` records joined by ``^``. The records themselves are
in ``wire.kis.ticker`` (trades and books) and ``wire.kis.notices`` (own orders and fills, encrypted).
"""

import json
from typing import Any

import attrs

from wire.errors import InvalidField, Malformed
from wire.kis.rest import read_json

TRADES, BOOKS, NOTICES, MOCK_NOTICES = "H0STCNT0", "H0STASP0", "H0STCNI0", "H0STCNI9"
STREAM_IDS = frozenset({TRADES, BOOKS, NOTICES, MOCK_NOTICES})
PINGPONG = "PINGPONG"
MAX_REGISTRATIONS = 41
PING_PERIOD = 10.0  # seconds between two PINGPONG of the server
PING_TIMEOUT = 100.0  # seconds after which an unanswered connection is closed

SUBSCRIBED, UNSUBSCRIBED = "OPSP0000", "OPSP0001"
ALREADY_SUBSCRIBED, NOT_SUBSCRIBED, SUBSCRIBE_FAILED, TOO_MANY = "OPSP0002", "OPSP0003", "OPSP0007", "OPSP0008"
UNKNOWN_APPROVAL, UNKNOWN_TR_ID, UNKNOWN_TR_KEY, IN_USE = "OPSP0011", "OPSP8991", "OPSP8992", "OPSP8996"
UNKNOWN_TR_TYPE, UNKNOWN_CUSTOMER, NOT_JSON = "OPSP8997", "OPSP8998", "OPSP9990"

TEXTS = {
    SUBSCRIBED: "SUBSCRIBE SUCCESS",
    UNSUBSCRIBED: "UNSUBSCRIBE SUCCESS",
    ALREADY_SUBSCRIBED: "ALREADY IN SUBSCRIBE",
    NOT_SUBSCRIBED: "UNSUBSCRIBE ERROR (not found!)",
    SUBSCRIBE_FAILED: "SUBSCRIBE INTERNAL ERROR",
    TOO_MANY: "MAX SUBSCRIBE OVER",
    UNKNOWN_APPROVAL: "invalid approval(appkey) : NOT FOUND",
    UNKNOWN_TR_ID: "invalid tr_id",
    UNKNOWN_TR_KEY: "invalid tr_key",
    IN_USE: "ALREADY IN USE appkey",
    UNKNOWN_TR_TYPE: "invalid tr_type",
    UNKNOWN_CUSTOMER: "invalid custtype",
    NOT_JSON: "JSON PARSING ERROR",
}
# The registration stands although the answer says failure.
HARMLESS = frozenset({ALREADY_SUBSCRIBED, NOT_SUBSCRIBED})


@attrs.frozen(kw_only=True)
class Registration:
    """A client's message: register or unregister one stream (``tr_id`` and ``tr_key``)."""

    approval_key: str = attrs.field(repr=False)
    tr_id: str
    tr_key: str
    register: bool = True
    customer: str = "P"


class RegistrationRefused(Exception):
    """A client's message that cannot be served. ``code`` is the broker's; the stream's names where they were read."""

    def __init__(self, code: str, *, tr_id: str = "(null)", tr_key: str = "") -> None:
        self.code, self.tr_id, self.tr_key = code, tr_id, tr_key
        super().__init__(f"{code} {TEXTS[code]}")


@attrs.frozen(kw_only=True)
class Control:
    """The server's answer to a registration. ``key`` and ``iv`` come with every success; they matter when encrypted."""

    tr_id: str
    tr_key: str
    encrypted: bool
    succeeded: bool
    code: str
    text: str
    key: str = attrs.field(default="", repr=False)
    iv: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Ping:
    """The server's keep-alive; it is answered with the identical text. ``at`` is YYYYMMDDHHMMSS."""

    at: str
    text: str


@attrs.frozen(kw_only=True)
class Frame:
    """Records of one stream. An encrypted payload is Base64 and must be decrypted before it is split."""

    encrypted: bool
    tr_id: str
    count: int
    payload: str = attrs.field(repr=False)

    def records(self, width: int) -> list[list[str]]:
        """The plain payload cut into records of ``width`` fields. Malformed when it does not divide."""
        return split_records(self.payload, self.count, width)


ServerMessage = Control | Ping | Frame


def split_records(payload: str, count: int, width: int) -> list[list[str]]:
    """``count`` records of ``width`` fields; Malformed for any other number of fields."""
    fields = payload.split("^")
    if len(fields) != count * width:
        raise Malformed("a frame has another number of fields than its count says")
    return [fields[i : i + width] for i in range(0, len(fields), width)]


def encode_registration(registration: Registration) -> str:
    """The client's message."""
    header = {
        "approval_key": registration.approval_key,
        "custtype": registration.customer,
        "tr_type": "1" if registration.register else "2",
        "content-type": "utf-8",
    }
    stream = {"tr_id": registration.tr_id, "tr_key": registration.tr_key}
    return json.dumps({"header": header, "body": {"input": stream}})


def decode_registration(text: str) -> Registration:
    """A client's message, or RegistrationRefused with the code the server answers."""
    try:
        message = read_json(text)
    except Malformed:
        raise RegistrationRefused(NOT_JSON) from None
    header, stream = message.get("header"), _input(message)
    if not isinstance(header, dict) or stream is None:
        raise RegistrationRefused(NOT_JSON)
    tr_id, tr_key = stream.get("tr_id"), stream.get("tr_key")
    if not isinstance(tr_id, str) or tr_id not in STREAM_IDS:
        raise RegistrationRefused(UNKNOWN_TR_ID)
    if not isinstance(tr_key, str) or not tr_key:
        raise RegistrationRefused(UNKNOWN_TR_KEY, tr_id=tr_id)
    if header.get("tr_type") not in ("0", "1", "2"):  # newer documents say 0 for unregister
        raise RegistrationRefused(UNKNOWN_TR_TYPE, tr_id=tr_id, tr_key=tr_key)
    if header.get("custtype", "P") not in ("P", "B"):
        raise RegistrationRefused(UNKNOWN_CUSTOMER, tr_id=tr_id, tr_key=tr_key)
    return Registration(
        approval_key=str(header.get("approval_key", "")),
        tr_id=tr_id,
        tr_key=tr_key,
        register=header["tr_type"] == "1",
        customer=str(header.get("custtype", "P")),
    )


def _input(message: dict[str, Any]) -> dict[str, Any] | None:
    body = message.get("body")
    stream = body.get("input") if isinstance(body, dict) else None
    return stream if isinstance(stream, dict) else None


def encode_control(control: Control) -> str:
    """The server's answer to a registration."""
    header = {"tr_id": control.tr_id, "tr_key": control.tr_key, "encrypt": "Y" if control.encrypted else "N"}
    body: dict[str, Any] = {"rt_cd": _result(control), "msg_cd": control.code, "msg1": control.text}
    if control.key:
        body["output"] = {"iv": control.iv, "key": control.key}
    return json.dumps({"header": header, "body": body})


def _result(control: Control) -> str:
    if control.succeeded:
        return "0"
    return "9" if control.code == IN_USE else "1"


def encode_ping(at: str) -> str:
    """The server's keep-alive; ``at`` is YYYYMMDDHHMMSS."""
    return json.dumps({"header": {"tr_id": PINGPONG, "datetime": at}})


def is_pingpong(text: str) -> bool:
    """Whether a client's text is the echo of a keep-alive."""
    try:
        header = read_json(text).get("header")
    except Malformed:
        return False
    return isinstance(header, dict) and header.get("tr_id") == PINGPONG


def encode_frame(frame: Frame) -> str:
    """A data frame."""
    return f"{int(frame.encrypted)}|{frame.tr_id}|{frame.count:03d}|{frame.payload}"


def decode_server_message(text: str) -> ServerMessage:
    """Whatever the server may send. Malformed or InvalidField for anything else."""
    if text[:1] in ("0", "1"):
        return _decode_frame(text)
    message = read_json(text)
    header = message.get("header")
    if not isinstance(header, dict) or not isinstance(header.get("tr_id"), str):
        raise InvalidField("is required", field="header.tr_id")
    if header["tr_id"] == PINGPONG:
        return Ping(at=str(header.get("datetime", "")), text=text)
    return _decode_control(header, message.get("body"))


def _decode_frame(text: str) -> Frame:
    parts = text.split("|", 3)
    if len(parts) != 4 or not (parts[2].isascii() and parts[2].isdigit()) or len(parts[2]) > 4:
        raise Malformed("a data frame has four parts and a count")
    return Frame(encrypted=parts[0] == "1", tr_id=parts[1], count=int(parts[2]), payload=parts[3])


def _decode_control(header: dict[str, Any], body: object) -> Control:
    if not isinstance(body, dict):
        raise InvalidField("must be an object", field="body")
    output = body.get("output")
    keys = output if isinstance(output, dict) else {}
    return Control(
        tr_id=header["tr_id"],
        tr_key=str(header.get("tr_key", "")),
        encrypted=header.get("encrypt") == "Y",
        succeeded=body.get("rt_cd") == "0",
        code=str(body.get("msg_cd", "")),
        text=str(body.get("msg1", "")).strip(),
        key=str(keys.get("key", "")),
        iv=str(keys.get("iv", "")),
    )
