"""Logs: one JSON object a line, and nothing in it that looks like a credential."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.following import line_of
from actors.logs import JsonLines, PlainLines
from wire.redaction import redact

SECRET = "s3cr3t-canary-value"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {TOKEN}",
        f"token={TOKEN}",
        f"got {TOKEN} from the browser",
        f"password={SECRET}",
        f'{{"password": "{SECRET}", "user": "a"}}',
        f"api_key='{SECRET}'",
        f"appkey: {SECRET}",
        f"postgresql://user:{SECRET}@host/db",
        f"client_secret={SECRET}&x=1",
        f"Cookie: watchkeeper_refresh={SECRET}",
    ],
)
def test_what_looks_like_a_credential_is_masked(text):
    assert SECRET not in redact(text)
    assert TOKEN not in redact(text)


@pytest.mark.parametrize(
    "text", ["engine E1 connected", "stop s1 FLATTEN all, epoch 7", "GET /api/stops 200", "12 tokens left"]
)
def test_ordinary_words_stay_as_they_are(text):
    assert redact(text) == text


def record(message, *args, **extra):
    made = logging.getLogger("x").makeRecord("x", logging.INFO, "f", 1, message, args, None, extra=extra)
    return made


@given(st.text(), st.text())
def test_whatever_is_logged_is_one_line_of_json(message, extra):
    line = JsonLines().format(record("%s", message, about=extra))
    assert "\n" not in line
    assert set(json.loads(line)) == {"at", "level", "logger", "message", "about"}


@given(st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x9F)))
def test_on_a_terminal_no_control_character_gets_through(message):
    text = PlainLines().format(record("%s", message))
    assert all(c.isprintable() or c == "\t" for c in text)


def test_an_exception_is_told_without_its_secrets():
    try:
        raise ValueError(f"password={SECRET}")
    except ValueError as error:
        made = logging.getLogger("x").makeRecord("x", logging.ERROR, "f", 1, "failed", (), (type(error), error, None))
    for formatter in (JsonLines(), PlainLines()):
        assert SECRET not in formatter.format(made)


def test_a_stream_that_is_no_terminal_gets_json():
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines())
    handler.emit(record("hello", ms=3))
    assert json.loads(out.getvalue())["ms"] == 3


LINE = {
    "timestamp": "2026-11-20T05:30:00Z", "engine_id": "E1", "category": "Trade", "symbol": "005930",
    "message": "BUY 005930", "reason": "crossed", "quarantined": False,
}  # fmt: skip


def test_a_line_of_an_engine_says_who_what_and_why_and_a_malformed_one_that_it_is():
    assert line_of(LINE) == "2026-11-20T05:30:00Z E1 Trade 005930: BUY 005930 — crossed"
    bad = {**LINE, "quarantined": True, "symbol": None, "message": '{"id":"x"}', "reason": "payload.id: is required"}
    assert line_of(bad) == '2026-11-20T05:30:00Z E1 quarantined Trade: {"id":"x"} — payload.id: is required'
