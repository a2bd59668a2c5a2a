"""The throttle, the shared token and the KIS client, in virtual time over a broker in memory."""

import json
import os
import stat
from collections import deque

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors.engine.errors import BrokerRefused, BrokerUnavailable, OutcomeUnknown
from actors.engine.kis import KisAccount, KisClient
from actors.engine.throttle import RateWindow, Throttle
from actors.engine.tokens import TokenCache, TokenTooSoon
from wire.http import ConnectFailed, ConnectionLost, RequestTimeout, Response
from wire.kis.codes import Profile
from wire.sdk.errors import GateClosed
from wire.values import BrokerToken, Side

ACCOUNT = KisAccount(
    profile=Profile.REAL, app_key="k" * 36, app_secret="s" * 180, account="1234567801", rest_url="http://broker.test"
)
TOKEN = {
    "access_token": "tok-1",
    "access_token_token_expired": "2026-11-21 09:00:00",
    "token_type": "Bearer",
    "expires_in": 86400,
}
ACCEPTED = {
    "rt_cd": "0",
    "msg_cd": "APBK0013",
    "msg1": "ok",
    "output": {"KRX_FWDG_ORD_ORGNO": "91252", "ODNO": "0000117057", "ORD_TMD": "121052"},
}


def holdings(*costs, total):
    """A balance whose rows cost these, of a total purchase value."""
    rows = [
        {
            "pdno": f"00000{n}",
            "hldg_qty": "1",
            "ord_psbl_qty": "1",
            "pchs_avg_pric": str(cost),
            "pchs_amt": str(cost),
            "prpr": "1",
            "evlu_amt": "1",
            "evlu_pfls_amt": "0",
        }
        for n, cost in enumerate(costs)
    ]
    totals = {
        "dnca_tot_amt": "0",
        "nxdy_excc_amt": "0",
        "prvs_rcdl_excc_amt": "0",
        "scts_evlu_amt": "1",
        "tot_evlu_amt": "1",
        "nass_amt": "1",
        "pchs_amt_smtl_amt": str(total),
    }
    return ok({"rt_cd": "0", "msg_cd": "x", "msg1": "", "output1": rows, "output2": [totals]})


def refusal(code, words="no", *, status=500):
    return Response(status=status, headers={}, body=json.dumps({"rt_cd": "1", "msg_cd": code, "msg1": words}).encode())


def ok(body):
    return Response(status=200, headers={}, body=json.dumps(body).encode())


class Http:
    """Answers from a script; a token is always given. ``before_write`` is asked as the real client does."""

    def __init__(self, *script):
        self.script = deque(script)
        self.calls = []
        self.tokens = 0

    async def request(self, method, url, headers=None, body=b"", *, timeout, before_write=None):
        await trio.lowlevel.checkpoint()
        if url.endswith("/oauth2/tokenP"):
            self.tokens += 1
            return ok({**TOKEN, "access_token": f"tok-{self.tokens}"})
        if before_write is not None:
            before_write()
        self.calls.append((method, url, headers, body))
        answer = self.script.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def make(tmp_path):
    def make(*script, rate=18):
        http = Http(*script)
        wall = [1_700_000_000.0]
        tokens = TokenCache(tmp_path / "tokens", host="h", app_key="k", wall=lambda: wall[0])
        client = KisClient(ACCOUNT, http=http, tokens=tokens, throttle=Throttle(RateWindow(rate)))
        client.wall = wall
        return http, client

    return make


async def place(client, before_write=lambda: None):
    return await client.place(
        symbol="005930", side=Side.BUY, quantity=10, price=71_800, urgent=False, before_write=before_write
    )


def lost(kind, *, written):
    return kind("x", method="POST", host="broker.test", path="/order", written=written)


async def test_an_order_is_sent_with_the_brokers_words_and_its_number_comes_back(make):
    http, client = make(ok(ACCEPTED))
    accepted = await place(client)
    assert (accepted.order_no, accepted.branch) == ("0000117057", "91252")
    _method, _url, headers, body = http.calls[0]
    assert headers["tr_id"] == "TTTC0012U"
    assert json.loads(body)["ORD_QTY"] == "10"


async def test_too_fast_is_sent_again_because_nothing_was_executed(make, autojump_clock):
    http, client = make(refusal("EGW00201"), refusal("EGW00201"), ok(ACCEPTED))
    assert (await place(client)).order_no == "0000117057"
    assert trio.current_time() > 1.9
    assert len(http.calls) == 3


async def test_a_gate_that_closed_meanwhile_stops_the_second_sending(make, autojump_clock):
    http, client = make(refusal("EGW00201"), ok(ACCEPTED))
    gate = deque([None, GateClosed("stopped")])

    def check():
        if (closed := gate.popleft()) is not None:
            raise closed

    with pytest.raises(GateClosed):
        await place(client, check)
    assert len(http.calls) == 1


@pytest.mark.parametrize(
    "answer",
    [
        refusal("EGW00301"),
        refusal("EGW00302"),
        refusal("EGW00202"),
        refusal("EGW99999"),
        lost(RequestTimeout, written=True),
        lost(ConnectionLost, written=True),
        Response(status=200, headers={}, body=b"<html>"),
        ok({"rt_cd": "0", "msg_cd": "APBK0013", "msg1": "ok"}),
    ],
)
async def test_an_order_whose_fate_is_open_is_unknown_and_sent_once(make, answer):
    http, client = make(answer, ok(ACCEPTED))
    with pytest.raises(OutcomeUnknown):
        await place(client)
    assert len(http.calls) == 1


@pytest.mark.parametrize("answer", [lost(ConnectFailed, written=False), lost(RequestTimeout, written=False)])
async def test_an_order_of_which_nothing_was_written_did_not_happen(make, answer):
    _http, client = make(answer)
    with pytest.raises(BrokerUnavailable):
        await place(client)


async def test_a_business_refusal_carries_the_brokers_code_and_words(make):
    _http, client = make(refusal("APBK0918", "장운영시간이 아닙니다. ", status=200))
    with pytest.raises(BrokerRefused) as refused:
        await place(client)
    assert (refused.value.broker_code, refused.value.reason) == ("APBK0918", "장운영시간이 아닙니다.")


async def test_a_refused_token_is_renewed_once_and_the_call_sent_again(make):
    http, client = make(ok(ACCEPTED), refusal("EGW00123"), ok(ACCEPTED))
    await place(client)
    client.wall[0] += 120
    await place(client)
    assert http.tokens == 2
    assert [h["authorization"] for _m, _u, h, _b in http.calls] == ["Bearer tok-1", "Bearer tok-1", "Bearer tok-2"]


async def test_a_second_token_within_a_minute_is_not_asked_for(make):
    http, client = make(refusal("EGW00123"))
    with pytest.raises(BrokerUnavailable) as away:
        await place(client)
    assert away.value.code == "error_token_too_soon"
    assert http.tokens == 1


async def test_nothing_left_to_cancel_has_a_code_of_its_own(make):
    _http, client = make(refusal("40330000", status=200))
    with pytest.raises(BrokerRefused) as refused:
        await client.cancel(number="1", branch="1", market=False, before_write=lambda: None)
    assert refused.value.code == "error_nothing_to_cancel"


async def test_a_balance_whose_list_lacks_a_page_is_no_read(make):
    _http, client = make(holdings(100, 200, total=300), holdings(100, total=300))
    assert len((await client.balance()).holdings) == 2
    with pytest.raises(BrokerUnavailable, match="a page is missing"):
        await client.balance()


async def test_no_error_repeats_a_key_or_the_account(make):
    _http, client = make(lost(ConnectionLost, written=True))
    with pytest.raises(OutcomeUnknown) as unknown:
        await place(client)
    text = repr(unknown.value) + repr(client.account)
    assert not any(secret in text for secret in (ACCOUNT.app_key, ACCOUNT.app_secret, "12345678"))


# --- the token file ---


def issuer(answers):
    async def issue():
        await trio.lowlevel.checkpoint()
        answer = answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    return issue


async def test_two_processes_with_one_key_share_one_token(tmp_path):
    wall = [1_000_000.0]
    one, two = (TokenCache(tmp_path, host="h", app_key="k", wall=lambda: wall[0]) for _ in range(2))
    answers = deque([("tok", 86_400.0)])
    assert await one.get(issuer(answers)) == "tok"
    assert await two.get(issuer(answers)) == "tok"
    (file,) = tmp_path.glob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "k.json" not in file.name


async def test_after_an_invalid_token_the_minute_counts_across_processes(tmp_path):
    wall = [1_000_000.0]
    one, two = (TokenCache(tmp_path, host="h", app_key="k", wall=lambda: wall[0]) for _ in range(2))
    answers = deque([("tok", 86_400.0), ("new", 86_400.0)])
    await one.get(issuer(answers))
    one.invalidate("tok")
    assert one.state() is BrokerToken.INVALID
    with pytest.raises(TokenTooSoon) as soon:
        await two.get(issuer(answers))
    assert soon.value.wait == 60.0
    wall[0] += 60
    assert await two.get(issuer(answers)) == "new"
    assert await one.get(issuer(answers)) == "new"


async def test_an_issue_that_certainly_did_not_happen_does_not_use_up_the_minute(tmp_path):
    cache = TokenCache(tmp_path, host="h", app_key="k", wall=lambda: 1_000_000.0)
    away = BrokerUnavailable("away")
    away.__cause__ = lost(ConnectFailed, written=False)
    answers = deque([away, BrokerUnavailable("lost"), ("tok", 86_400.0)])
    with pytest.raises(BrokerUnavailable):
        await cache.get(issuer(answers))
    with pytest.raises(BrokerUnavailable):
        await cache.get(issuer(answers))
    with pytest.raises(TokenTooSoon):
        await cache.get(issuer(answers))


@pytest.fixture
def full_disk(monkeypatch):
    """The same disk, without room; ``undo`` makes some."""

    def refuse(_descriptor, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    return monkeypatch


async def test_a_full_disk_takes_no_token_away_and_the_minute_counts_without_it(tmp_path, full_disk):
    wall = [1_000_000.0]
    one, two = (TokenCache(tmp_path, host="h", app_key="k", wall=lambda: wall[0]) for _ in range(2))
    answers = deque([("tok", 86_400.0), ("new", 86_400.0)])
    assert await one.get(issuer(answers)) == "tok"
    one.invalidate("tok")
    assert one.state() is BrokerToken.INVALID
    with pytest.raises(TokenTooSoon):
        await one.get(issuer(answers))
    full_disk.undo()
    wall[0] += 60
    assert await two.get(issuer(answers)) == "new"
    assert await one.get(issuer(answers)) == "new"


# --- the throttle ---


@given(st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), max_size=60), st.integers(1, 6), st.data())
def test_no_window_ever_holds_more_calls_than_the_rate_nor_more_ordinary_ones_than_their_share(arrivals, rate, data):
    reserve = data.draw(st.integers(0, rate - 1))
    window = RateWindow(rate, reserve=reserve)
    now, made = 0.0, []
    for pause, urgent in arrivals:
        now += pause
        while (delay := window.delay(now, urgent=urgent)) > 0:
            now += delay + 1e-9
        window.take(now)
        made.append((now, urgent))
    for n, (at, urgent) in enumerate(made):
        within = [u for t, u in made[: n + 1] if at - 1.0 + 1e-9 < t]  # clocks are floats
        assert len(within) <= rate
        assert urgent or len(within) <= rate - reserve


async def test_an_urgent_call_overtakes_every_ordinary_one_that_waits(autojump_clock):
    throttle = Throttle(RateWindow(2))
    order = []

    async def call(name, urgent):
        await throttle.acquire(urgent=urgent)
        order.append(name)

    async with trio.open_nursery() as nursery:
        for n in range(6):
            nursery.start_soon(call, f"read{n}", False)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(call, "cancel", True)
    assert order.index("cancel") == 2
    assert throttle.waiting == 0


async def test_a_cancelled_call_gives_its_place_to_the_next(autojump_clock):
    throttle = Throttle(RateWindow(1))
    await throttle.acquire()
    with trio.move_on_after(0.5):
        await throttle.acquire()
    before = trio.current_time()
    await throttle.acquire()
    assert trio.current_time() - before == pytest.approx(0.5)
