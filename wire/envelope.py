"""The frame around every message of the engine link: reading one as far as it can be read, and writing one."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, cast

import attrs

from wire.codec import dump, encode, parse, structure, time_text
from wire.errors import InvalidField, Malformed, UnknownCritical, UnknownType, WireError
from wire.jsontext import quote, salvage
from wire.lanes import TYPE_OF
from wire.messages import EmergencyStop, Fill, Goodbye, Heartbeat, Positions, StopProgress, TradeLog, Welcome
from wire.schema import C, message
from wire.stops import Identifier
from wire.tailor import maker
from wire.values import MAX_DEPTH, MAX_FRAME_BYTES, DurableId

SeqNumber = Annotated[int, C(ge=1, le=2**53)]


@message
class Envelope:
    """``seq`` numbers every message that is not control; ``ack`` confirms the other direction; ``id`` is the sender's
    durable name of the message, ``re`` the id it answers; ``crit`` names what must be understood to execute it."""

    type: Annotated[str, C(max_length=64)]
    payload: Any
    timestamp: datetime
    engine_id: Identifier
    seq: SeqNumber | None = None
    ack: Annotated[int, C(ge=0, le=2**53)] | None = None
    id: DurableId | None = None
    re: DurableId | None = None
    crit: list[str] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Frame:
    """A frame as far as it could be read: ``message`` when all of it is valid, otherwise ``error`` says what is not.

    The number is known either way, so that a message that cannot be executed is still counted and never replayed.
    """

    seq: int | None
    id: str | None
    type: str = ""
    envelope: Envelope | None = None
    message: object | None = None
    error: WireError | None = None
    payload: Any = None


def _field_names(cls: Any) -> list[str]:
    return [f.name for f in attrs.fields(cls)]


_DURABLE_ID = re.compile(r"[\x21-\x7e]{1,64}")
ENVELOPE_FIELDS = frozenset(_field_names(Envelope))


_frame = maker(Frame)
_NAMED = (TradeLog, Fill)
# Messages with a field that is always there and may be null, such as flatten_after_ms or an age never heard of.
_WITH_NULLS = (Welcome, Heartbeat, Goodbye, Positions, StopProgress)


def read_frame(text: str | bytes, known: Mapping[str, type], understood: frozenset[str] = frozenset()) -> Frame:
    """Raises Malformed or TooLarge only when not even the number can be known."""
    try:
        plain = parse(text, max_bytes=MAX_FRAME_BYTES, max_depth=MAX_DEPTH)
    except Malformed as error:
        return _unusable(text, known, error)
    seq = _number(plain)
    try:
        envelope = structure(plain, Envelope)
        content = _message(envelope, known, understood)
    except WireError as error:
        named, id = plain.get("type"), _usable_id(plain.get("id"))
        kind = named if type(named) is str else ""
        return Frame(seq=seq, id=id, type=kind, error=error, payload=plain.get("payload"))
    identity = envelope.id
    if identity is None and type(content) in _NAMED:
        identity = cast("TradeLog | Fill", content).id
    return _frame(seq, identity, envelope.type, envelope, content, None, None)


def _number(plain: Mapping[str, Any]) -> int | None:
    seq = plain.get("seq")
    if seq is not None and (type(seq) is not int or not 1 <= seq <= 2**53):
        raise Malformed("the number of a message is a positive integer", field="seq")
    return seq


def _unusable(text: str | bytes, known: Mapping[str, type], error: Malformed) -> Frame:
    """A frame with a value that nobody can keep, such as NUL. Nothing of it is handed on but its number and name."""
    plain = salvage(text, max_bytes=MAX_FRAME_BYTES, max_depth=MAX_DEPTH)
    if plain is None:
        raise error
    named = plain.get("type")
    kind = named if type(named) is str and named in known else ""
    return Frame(seq=_number(plain), id=_usable_id(plain.get("id")), type=kind, error=error)


def write_frame(
    content: object,
    *,
    engine_id: str,
    timestamp: datetime,
    seq: int | None = None,
    ack: int | None = None,
    id: str | None = None,
    re: str | None = None,
    crit: tuple[str, ...] = (),
) -> str:
    """The text of one frame; what is None or empty is left out. The names of engine and message are valid ones."""
    numbers = ("" if seq is None else f',"seq":{seq}') + ("" if ack is None else f',"ack":{ack}')
    names = ("" if id is None else f',"id":{quote(id)}') + ("" if re is None else f',"re":{dump(re)}')
    must = f',"crit":{dump(list(crit))}' if crit else ""
    head = f'"type":"{TYPE_OF[type(content)]}","engine_id":{quote(engine_id)},"timestamp":"{time_text(timestamp)}"'
    if type(content) is EmergencyStop:
        payload = _stop_text(content)
    else:
        payload = encode(content, nulls=type(content) in _WITH_NULLS)
    return f'{{{head}{numbers}{names}{must},"payload":{payload}}}'


def _stop_text(stop: EmergencyStop) -> str:
    """A stop goes to a whole fleet in frames that differ only around it: it is written once."""
    global _last_stop
    if _last_stop[0] is not stop:
        _last_stop = stop, encode(stop)
    return _last_stop[1]


_last_stop: tuple[EmergencyStop | None, str] = None, ""


def is_durable_id(value: object) -> bool:
    """1 to 64 visible ASCII characters."""
    return isinstance(value, str) and _DURABLE_ID.fullmatch(value) is not None


def _usable_id(value: object) -> str | None:
    return value if isinstance(value, str) and is_durable_id(value) else None


def _message(envelope: Envelope, known: Mapping[str, type], understood: frozenset[str]) -> object:
    cls = known.get(envelope.type)
    if cls is None:
        raise UnknownType("this side does not know messages of that type", field="type")
    if envelope.crit and not understood.issuperset(set(envelope.crit).difference(ENVELOPE_FIELDS, _field_names(cls))):
        raise UnknownCritical("crit names something this side does not understand", field="crit")
    try:
        content: object = structure(envelope.payload, cls)
    except InvalidField as error:
        raise error.within("payload") from None
    if type(content) is TradeLog and envelope.id is not None and envelope.id != content.id:
        raise InvalidField("must equal payload.id", field="id")
    return content
