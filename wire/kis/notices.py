"""Own order and fill notices (H0STCNI0, 26 fields, and H0STCNI9, 23 fields), encrypted.

The broker sends no notice id and no cumulative quantity, and a notice can come before the answer of its order's POST:
the reader sums fills per order number and keeps unknown numbers for a while.
"""

from enum import StrEnum
from typing import Annotated

import attrs

from wire.errors import InvalidField, Malformed
from wire.kis.aes import Cipher
from wire.kis.codes import Profile, SideCode
from wire.kis.fields import Wire, from_record, to_record, wire_names
from wire.kis.stream import MOCK_NOTICES, NOTICES, Frame

LONG_FIELDS, SHORT_FIELDS = 26, 23


class Revision(StrEnum):
    """``RCTF_CLS``."""

    NEW = "0"
    MODIFY = "1"
    CANCEL = "2"


class Acceptance(StrEnum):
    """``ACPT_YN``."""

    RECEIVED = "1"
    CONFIRMED = "2"
    CANCELLED = "3"  # the rest of an IOC or FOK order


@attrs.frozen(kw_only=True)
class Notice:
    """The fields 0–17, which both layouts share.

    Of a fill, ``quantity`` and ``price`` are the fill's; of a receipt they are the order's. A modify or cancel has a
    number of its own in ``order_no`` and the order it changes in ``original``.
    """

    customer: Annotated[str, Wire("CUST_ID")]
    account: Annotated[str, Wire("ACNT_NO")]
    order_no: Annotated[str, Wire("ODER_NO")]
    original: Annotated[str, Wire("OODER_NO")] = ""
    side: Annotated[SideCode, Wire("SELN_BYOV_CLS")]
    revision: Annotated[Revision, Wire("RCTF_CLS")] = Revision.NEW
    order_type: Annotated[str, Wire("ODER_KIND")] = "00"
    condition: Annotated[str, Wire("ODER_COND")] = "0"
    symbol: Annotated[str, Wire("STCK_SHRN_ISCD")]
    quantity: Annotated[int, Wire("CNTG_QTY", 10)]
    price: Annotated[int, Wire("CNTG_UNPR", 9)]
    time: Annotated[str, Wire("STCK_CNTG_HOUR")]
    refusal: Annotated[str, Wire("RFUS_YN")] = "0"
    fill_code: Annotated[str, Wire("CNTG_YN")]
    acceptance: Annotated[Acceptance, Wire("ACPT_YN")]
    branch: Annotated[str, Wire("BRNC_NO")]
    order_quantity: Annotated[int, Wire("ODER_QTY", 9)]
    account_name: Annotated[str, Wire("ACNT_NAME")] = ""

    @property
    def is_fill(self) -> bool:
        return self.fill_code == "2"

    @property
    def rejected(self) -> bool:
        return self.refusal == "1"

    @property
    def subject(self) -> str:
        """The order the notice is about: the original one for a modify or cancel."""
        return self.original if self.revision is not Revision.NEW and self.original else self.order_no


@attrs.frozen(kw_only=True)
class LongTail:
    """Fields 18–25 of the official layout."""

    stop_price: Annotated[int, Wire("ORD_COND_PRC", 9)] = 0
    exchange: Annotated[str, Wire("ORD_EXG_GB")] = "1"
    popup: Annotated[str, Wire("POPUP_YN")] = "Y"
    filler: Annotated[str, Wire("FILLER")] = ""
    credit: Annotated[str, Wire("CRDT_CLS")] = "10"
    loan_day: Annotated[str, Wire("CRDT_LOAN_DATE")] = ""
    symbol_name: Annotated[str, Wire("CNTG_ISNM40")] = ""
    order_price: Annotated[int, Wire("ODER_PRC", 9)] = 0


@attrs.frozen(kw_only=True)
class ShortTail:
    """Fields 18–22 as the paper service was seen to send them; their names are not documented."""

    popup: Annotated[str, Wire("18")] = "1Y"
    credit: Annotated[str, Wire("19")] = "10"
    loan_day: Annotated[str, Wire("20")] = "        "
    symbol_name: Annotated[str, Wire("21")] = ""
    order_price: Annotated[int, Wire("22", 9)] = 0


_SHARED = len(wire_names(Notice))


def notice_frame(notice: Notice, cipher: Cipher, profile: Profile, *, symbol_name: str, order_price: int) -> Frame:
    """One notice, encrypted, in the layout of the profile."""
    tail = (
        to_record(ShortTail(symbol_name=symbol_name, order_price=order_price))
        if profile is Profile.MOCK
        else to_record(LongTail(symbol_name=symbol_name, order_price=order_price))
    )
    payload = cipher.encrypt_text("^".join([*to_record(notice), *tail]))
    return Frame(encrypted=True, tr_id=NOTICES if profile is Profile.REAL else MOCK_NOTICES, count=1, payload=payload)


def notices_of(frame: Frame, cipher: Cipher) -> list[Notice]:
    """Every notice of a frame in either layout.

    Malformed for another stream, a wrong key or another number of fields; InvalidField for a broken field.
    """
    if not frame.encrypted or frame.tr_id not in (NOTICES, MOCK_NOTICES):
        raise Malformed("not an encrypted notice frame")
    fields = cipher.decrypt_text(frame.payload).split("^")
    for width in (LONG_FIELDS, SHORT_FIELDS):
        if frame.count and len(fields) == frame.count * width:
            return [read_notice(fields[i : i + width]) for i in range(0, len(fields), width)]
    raise Malformed("a notice has 26 or 23 fields")


def read_notice(fields: list[str]) -> Notice:
    """One plain notice; what follows field 17 is not relied upon."""
    if len(fields) < _SHARED:
        raise InvalidField(f"has {len(fields)} fields", field=NOTICES)
    return from_record(Notice, fields[:_SHARED], where=NOTICES)
