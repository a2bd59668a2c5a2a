"""The dashboard's pure TypeScript, run in a real Chromium on inputs that Hypothesis makes."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.incidents.words import LANGUAGES
from wire.codec import structure, unstructure
from wire.messages import HealthUpdate, TradeLog
from wire.phrases import KOREAN, TERMS, put
from wire.values import LogCategory, ProcessStatus, StrategyState

pytestmark = pytest.mark.browser
relaxed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TICK, PROMISE = 250, 15_000


@pytest.fixture(scope="module")
def kit(browser):
    """``kit("TK.f(a)", a)`` evaluates in the page with the argument bound to ``a``."""
    page = browser.new_page()
    page.add_script_tag(path=str(Path(__file__).with_name("testkit.js")))
    yield lambda expression, a=None: page.evaluate(f"a => {{ {expression} }}", a)
    page.close()


# --- the link -----------------------------------------------------------------------------------------------------

EVENTS = st.lists(
    st.tuples(
        st.integers(0, 4_000),
        st.sampled_from(
            [
                "opened",
                "welcome",
                "heard",
                "beat",
                "synced",
                "closed",
                "up",
                "down",
                "wake",
                "retry",
                "token",
                "stale-socket",
            ]
        ),
        st.sampled_from([1000, 1006, 1011, 4000, 4008, 4029, 4101, 4504]),
    ),
    max_size=40,
)
RUN = """
    let now = 1000, link = TK.initial(), random = a.random;
    const tell = (event) => { [link] = TK.step(link, event, now, random); };
    const until = (end) => { while (now + a.tick <= end) { now += a.tick; tell({type: 'tick'}); } now = end; };
    tell({type: 'start'});
    for (const [wait, name, code] of a.events) {
        until(now + wait);
        const socket = name === 'stale-socket' ? link.socket - 1 : link.socket;
        if (name === 'closed' || name === 'stale-socket') tell({type: 'closed', socket, code, reason: ''});
        else if (name === 'up' || name === 'down') tell({type: 'network', up: name === 'up'});
        else if (name === 'welcome') tell({type: 'welcome', socket, expiresInMs: 900000});
        else if (name === 'token') tell({type: 'token', expiresInMs: 900000});
        else if (name === 'wake' || name === 'retry') tell({type: name});
        else tell({type: name, socket});
    }
"""


@relaxed
@given(events=EVENTS, random=st.floats(0, 1, exclude_max=True))
def test_a_lost_connection_is_shown_within_fifteen_seconds(kit, events, random):
    """Feature: trading-platform-backend-integration, Property 17: 연결 손실 감지

    Whatever happened before, once nothing is heard the link is offline within 15 s, and stays so.
    """
    silence = """
        const start = now; let shown = null;
        while (now < start + 60000) {
            now += a.tick; tell({type: 'tick'});
            if (link.liveness === 'offline') shown ??= now - start; else shown = null;
        }
        return shown;
    """
    shown = kit(RUN + silence, {"events": events, "random": random, "tick": TICK})
    assert shown is not None
    assert shown <= PROMISE


@relaxed
@given(events=EVENTS, random=st.floats(0, 1, exclude_max=True))
def test_a_link_that_was_lost_always_dials_again(kit, events, random):
    """It gives up only when the server refused for good, and even then the person's own wish dials."""
    dials = """
        tell({type: 'network', up: true});
        if (link.phase === 'refused') tell({type: 'retry'});
        const first = link.socket;
        tell({type: 'closed', socket: link.socket, code: 1006, reason: ''});
        until(now + 5000 + a.tick);
        return link.phase === 'dialling' || link.socket > first + 1;
    """
    assert kit(RUN + dials, {"events": events, "random": random, "tick": TICK})


@relaxed
@given(events=EVENTS, random=st.floats(0, 1, exclude_max=True))
def test_live_is_never_said_of_a_link_without_fresh_and_complete_data(kit, events, random):
    claim = "return [link.liveness, link.phase, link.synced, link.heardAt === null ? null : now - link.heardAt];"
    liveness, phase, synced, silent = kit(RUN + claim, {"events": events, "random": random, "tick": TICK})
    if liveness == "live":
        assert (phase, synced) == ("online", True)
        assert silent < 5_000 + TICK


def test_after_silence_a_snapshot_alone_is_not_trusted(kit):
    steps = """
        let now = 0, link = TK.initial(); const seen = [];
        const tell = (type, extra = {}) => { [link] = TK.step(link, {type, socket: link.socket, ...extra}, now, 0); };
        const connect = () => { tell('opened'); tell('welcome', {expiresInMs: null}); tell('synced'); };
        tell('start'); connect();
        seen.push(link.liveness);
        now = 10000; tell('tick'); seen.push(link.liveness);
        now = 11000; tell('tick'); connect(); seen.push(link.liveness);
        now = 13000; tell('beat'); seen.push(link.liveness);
        now = 15000; tell('beat'); seen.push(link.liveness);
        return seen;
    """
    assert kit(steps) == ["live", "offline", "offline", "offline", "live"]


def test_a_refused_token_is_renewed_once_and_then_the_person_is_asked(kit):
    steps = """
        let now = 0, link = TK.initial(); const done = [];
        const tell = (event) => {
            const [next, commands] = TK.step(link, event, now, 0);
            link = next; done.push(...commands);
        };
        const refuse = () => tell({type: 'closed', socket: link.socket, code: 4504, reason: 'error_auth_invalid'});
        tell({type: 'start'}); refuse(); now = 5000; tell({type: 'tick'}); refuse();
        return [link.phase, done.map(c => c.do + (c.freshToken ? '!' : ''))];
    """
    phase, done = kit(steps)
    assert phase == "refused"
    assert done == ["dial", "hangup", "dial!", "hangup", "sign-in"]


@relaxed
@given(attempt=st.integers(0, 200), random=st.floats(0, 1, exclude_max=True))
def test_the_pause_before_a_dial_is_bounded_and_spread(kit, attempt, random):
    pause = kit("return TK.backoff(a[0], a[1])", [attempt, random])
    full = min(5_000, 500 * 2**attempt)
    assert full / 2 <= pause <= full


# --- what the platform says ---------------------------------------------------------------------------------------

TEXT = st.text(max_size=60)
TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1))


@st.composite
def trade_logs(draw):
    category = draw(st.sampled_from(LogCategory))
    reason = st.text(min_size=1, max_size=60).filter(str.strip)
    return TradeLog(
        id=draw(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)),
        category=category,
        message=draw(TEXT),
        timestamp=draw(TIMES),
        reason=draw(reason if category is LogCategory.TRADE else st.none() | TEXT),
    )


@relaxed
@given(log=trade_logs())
def test_every_log_the_platform_can_make_is_understood(kit, log):
    item = {**unstructure(log, nulls=True), "engine_id": "alpha"}
    parsed = kit("return TK.parse(TK.items.TradeLog, a)", item)
    assert parsed["ok"], (parsed, item)


@relaxed
@given(log=trade_logs(), reason=st.sampled_from([None, "", "   "]))
def test_a_trade_without_a_reason_is_quarantined(kit, log, reason):
    item = {**unstructure(log, nulls=True), "engine_id": "alpha", "category": "Trade", "reason": reason}
    state = kit(
        "const r = new TK.LogRing(); r.append([a]); return [r.malformed, r.rows[0].kind, r.rows[0].issue]", item
    )
    assert state == [1, "malformed", "reason: check"]


@pytest.mark.parametrize(
    "make",
    ["engine", "health", "system", "alert", "strategy"],
)
def test_every_item_the_platform_makes_is_understood(kit, desk, make):
    names = {
        "engine": ("EngineStatus", lambda d: d.engine("alpha")),
        "health": ("EngineHealth", lambda d: d.health("alpha")),
        "system": ("SystemHealth", lambda d: d.system()),
        "alert": ("Alert", lambda d: d.alert("a1")),
        "strategy": ("Strategy", lambda d: d.strategy("alpha", "s", "S")),
    }
    schema, item = names[make]
    plain = unstructure(item(desk.desk), nulls=True)
    parsed = kit(f"return TK.parse(TK.items.{schema}, a)", json.loads(json.dumps(plain)))
    assert parsed["ok"], parsed
    assert parsed["value"].keys() <= plain.keys()


@pytest.mark.parametrize(
    "bad", ["", "{}", "[]", "null", "{", '{"type":"delta"}', '{"type":"x","timestamp":"","payload":{}}']
)
def test_a_frame_that_is_none_is_named_and_not_thrown(kit, bad):
    assert kit("return TK.parseFrame(a).ok", bad) is False


def test_the_fixtures_fit_the_platforms_own_classes(kit):
    health, logs, strategies = kit("return [TK.systemHealthData, TK.categorizedTradeLogs, TK.strategies]")
    assert structure(health, HealthUpdate).process_status is ProcessStatus.RUNNING
    assert [structure(log, TradeLog).id for log in logs] == ["log-1", "log-2", "log-3"]
    assert {StrategyState(s["status"]) for s in strategies} <= set(StrategyState)
    assert set(health) == {f.name for f in attrs.fields(HealthUpdate)}


# --- the terminal -------------------------------------------------------------------------------------------------

ITEM = {"engine_id": "alpha", "category": "System", "message": "m", "timestamp": "2026-11-20T00:00:00+00:00"}


@relaxed
@given(st.lists(st.lists(st.integers(0, 60), max_size=30), max_size=8))
def test_a_log_is_shown_once_however_often_it_arrives(kit, batches):
    items = [[{**ITEM, "id": f"l{n}"} for n in batch] for batch in batches]
    shown = kit("const r = new TK.LogRing(); for (const b of a) r.append(b); return r.rows.map(x => x.log.id)", items)
    assert shown == list(dict.fromkeys(f"l{n}" for batch in batches for n in batch))


@relaxed
@given(st.integers(1, 400), st.integers(5, 50))
def test_the_terminal_keeps_the_newest_and_stays_bounded(kit, count, capacity):
    items = [{**ITEM, "id": f"l{n}"} for n in range(count)]
    script = (
        "const r = new TK.LogRing(a.capacity); for (const i of a.items) r.append([i]); return r.rows.map(x => x.log.id)"
    )
    kept = kit(script, {"items": items, "capacity": capacity})
    assert len(kept) <= capacity * 1.1
    assert kept == [item["id"] for item in items][-len(kept) :]


def test_records_missed_while_away_leave_a_visible_gap(kit):
    script = """
        const r = new TK.LogRing(), log = (n) => ({...a, id: 'l' + n});
        r.snapshot({epoch: 'e', offset: 2, items: [log(1), log(2)]});
        r.snapshot({epoch: 'e', offset: 900, items: [log(899), log(900)]});
        r.snapshot({epoch: 'e', offset: 901, items: [log(900), log(901)]});
        return r.rows.map(x => x.kind === 'log' ? x.log.id : x.kind);
    """
    assert kit(script, ITEM) == ["l1", "l2", "gap", "l899", "l900", "l901"]


# --- parameters and settings --------------------------------------------------------------------------------------


@relaxed
@given(st.text(max_size=12) | st.floats().map(str) | st.integers(-(10**9), 10**9).map(lambda n: f"{n:,}"))
def test_only_finite_numbers_are_numbers(kit, typed):
    value = kit("return TK.numberOf(a)", typed)
    if value is not None:
        assert value == pytest.approx(float(typed.strip().replace(",", "")))
    elif typed.strip().replace(",", "").lstrip("+-").isascii():
        assert not typed.strip().replace(",", "").lstrip("+-").isdigit()


@relaxed
@given(value=st.integers(0, 100), low=st.integers(0, 100), high=st.integers(0, 100))
def test_a_value_outside_the_range_of_its_parameter_is_refused(kit, value, low, high):
    spec = {"type": "integer", "minimum": low, "maximum": high, "step": 1, "unit": "", "title": "", "loosens": "up"}
    problem = kit("return TK.problemOf(String(a[0]), a[1])", [value, spec])
    assert (problem is None) == (low <= value <= high)


def test_a_change_says_what_it_loosens(kit):
    spec = {"type": "number", "minimum": 0, "maximum": 9, "step": 1, "unit": "", "title": "", "loosens": "up"}
    changes = kit(
        "return TK.changesOf({a: 1, b: 2, c: 3}, {a: '2', b: '1', c: '3.0'}, {a: a, b: a, c: a})"
        ".map(c => [c.key, c.loosens, TK.percentChange(c)])",
        spec,
    )
    assert changes == [["a", True, "+100%"], ["b", False, "-50%"]]


def test_a_secret_that_was_not_typed_is_kept_and_never_sent(kit):
    account = {
        "id": "a",
        "name": "n",
        "type": "kis",
        "account_number": "1",
        "api_key": "",
        "api_secret": "new",
        "is_active": True,
        "profile": "real",
        "stored": True,
    }
    limits = dict.fromkeys(
        ("max_daily_loss", "max_position_size", "max_concurrent_positions", "emergency_stop_loss"), "1,000"
    )
    body = kit("return TK.bodyOf({accounts: [a[0]], limits: a[1], preferences: {}})", [account, limits])
    sent = body["brokerage_accounts"][0]
    assert (sent["api_key"], sent["api_secret"]) == ({"set": True}, "new")
    assert body["risk_limits"]["max_daily_loss"] == 1000


def test_new_keys_hold_the_saving_back_until_a_broker_took_exactly_them(kit):
    script = """
        const account = {id: 'a', name: 'n', type: 'kis', account_number: '1', api_key: 'k', api_secret: 's'};
        const proof = (of, ok) => ({a: {of, result: {is_valid: ok, errors: [], warnings: [], checks: []}}});
        const key = TK.proofKey(account), other = TK.proofKey({...account, api_key: 'x'});
        const cases = [{}, proof(other, true), proof(key, false), proof(key, true)];
        return cases.map(p => TK.unprovedAccounts([account], p).length);
    """
    assert kit(script) == [1, 1, 1, 0]


# --- words --------------------------------------------------------------------------------------------------------


def test_both_languages_have_the_same_texts_with_the_same_slots(kit):
    ko, en = kit(
        "const slots = d => Object.fromEntries(Object.entries(d).map(([k, v]) => [k, TK.slotsOf(v)]));"
        "return [slots(TK.dictionaries.ko), slots(TK.dictionaries.en)]"
    )
    assert ko == en


@relaxed
@given(
    st.lists(st.sampled_from([*KOREAN, *TERMS, ": ", "; ", ", ", "7", "x"]), min_size=1, max_size=5)
    .map("".join)
    .map(lambda text: re.sub(r"\{n\d*\}", "1,234", text))
    .filter(str.isascii)
)
def test_a_sentence_of_the_book_is_the_same_on_the_page_and_in_a_report(kit, text):
    assert (kit("return TK.korean(a)", text) or text) == put(text, "ko")


@pytest.mark.parametrize(("language", "words"), LANGUAGES.items())
def test_a_report_calls_things_as_the_page_does(kit, language, words):
    page = kit("return TK.dictionaries[a]", language)
    both = {key: (text, page[key]) for key, text in words.items() if "." in key and key in page}
    assert len(both) > 30
    assert [key for key, (one, other) in both.items() if one != other] == []


def test_no_step_before_the_proof_is_called_done(kit):
    """What is asked for, heard or reached is not what is proved, in either language."""
    done = {"ko": ("완료", "검증"), "en": ("done", "verified", "complete")}
    for language, words in done.items():
        page = kit("return TK.dictionaries[a]", language)
        said = {key: text for key, text in page.items() if key.startswith(("phase.", "step."))}
        proved = {key for key, text in said.items() if any(word in text.casefold().split() for word in words)}
        assert proved == {"phase.verified", "step.done"}
        steps = [said[f"phase.{step}"] for step in kit("return TK.stepsOf('FLATTEN')")]
        assert len(set(steps)) == len(steps)


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ({}, False),
        ({"s1": ("received", None), "s2": ("verified", 9)}, False),
        ({"s1": ("frozen", 4)}, False),
        ({"s1": ("failed", None), "s2": ("failed", 9)}, False),
        ({"s1": ("failed", 4), "s2": ("verified", 9)}, True),
        ({"s1": ("superseded", None), "s2": ("cancelled", 9)}, True),
    ],
)
def test_an_engine_is_known_to_be_stopped_by_its_own_answers_alone(kit, answers, known):
    row = "engine_id: 'alpha', phase, ms_to_frozen"
    assert known is kit(
        f"""const stops = Object.entries(a).map(([id, [phase, ms_to_frozen]]) => [id, {{results: [{{{row}}}]}}]);
        const held = {{engine_id: 'alpha', stops: [{{stop_id: 's1'}}, {{stop_id: 's2'}}]}};
        return TK.holds(held, new Map(stops));""",
        answers,
    )


def test_no_text_is_empty(kit):
    assert (
        kit("return Object.values(TK.dictionaries).flatMap(d => Object.entries(d)).filter(([, v]) => v.trim() === '')")
        == []
    )


@pytest.mark.parametrize(
    ("ms", "ko", "en"),
    [
        (800, "0.8초", "0.8 s"),
        (42_000, "42초", "42 s"),
        (185_000, "3분 05초", "3 min 05 s"),
        (7_800_000, "2시간 10분", "2 h 10 min"),
    ],
)
def test_an_age_reads_naturally(kit, ms, ko, en):
    assert kit("return [TK.age(a, 'ko'), TK.age(a, 'en')]", ms) == [ko, en]


def test_times_are_korean_and_of_one_width(kit):
    assert kit("return TK.clock('2026-11-20T15:05:09Z')") == "00:05:09"


def test_a_flatten_is_verified_only_after_every_step(kit):
    steps = kit("return ['HALT', 'CANCEL', 'FLATTEN'].map(TK.stepsOf)")
    assert steps == [
        ["sent", "received", "frozen", "verified"],
        ["sent", "received", "frozen", "cancelled", "verified"],
        ["sent", "received", "frozen", "cancelled", "flattened", "verified"],
    ]
