"""The emergency doors on real sockets, with crowds at them, and what is behind them beside a loop that stands still."""

import contextlib
import json
import socket
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from actors.config import Address
from actors.emergency import crowd, glass
from actors.emergency.crowd import Crowd, Guest
from actors.emergency.doors import EmergencyDoor, emergency_code
from actors.emergency.glass import HUNG_DISK, RECORDED_WORDS, TOLD, TOLD_UNPROVED, BreakGlass, local_operator
from actors.emergency.local_socket import (
    LocalAnswer,
    LocalRequest,
    new_request,
    read_line,
    socket_path,
    stop_locally,
)
from actors.emergency.page import HEADERS, page
from actors.emergency.words import BAD, CARE, GOOD, said
from wire.codec import decode, encode
from wire.http import HttpClient
from wire.phrases import put
from wire.rest.stops import StopState
from wire.stops import Level, Scope
from wire.values import StopPhase

# --- who is kept --------------------------------------------------------------------------------------------------


def guests(*addresses):
    return [Guest(address, trio.CancelScope()) for address in addresses]


async def test_a_crowd_from_one_place_puts_out_its_own_oldest_and_nobody_from_another():
    door, people = Crowd(limit=4), guests("person", "crowd", "crowd", "crowd", "crowd", "other")
    for each in people:
        door.enter(each)
    assert [each.place.cancel_called for each in people] == [False, True, True, False, False, False]
    for each in people:
        door.leave(each)
    assert not door.speaking


async def test_who_is_stopped_for_keeps_the_place_and_where_nobody_else_is_only_the_wait_ends():
    door, people = Crowd(limit=2), guests("a", "b", "a", "a")
    for each in people[:2]:
        door.enter(each)
        door.serve(each)
    door.enter(people[2])
    assert (people[0].place.cancel_called, people[0].waiting.cancel_called) == (False, True)
    door.enter(people[3])
    assert people[2].place.cancel_called
    assert not people[1].waiting.cancel_called


# --- at the doors -------------------------------------------------------------------------------------------------


class Glass:
    """Stops nothing: it notes what it is asked, and waits as long as it is told to."""

    def __init__(self, home, emergency):
        settings = SimpleNamespace(home=home, emergency=emergency, emergency_tls=None)
        self.services = SimpleNamespace(settings=settings)
        self.asked = []
        self.slow = False

    async def stop(self, request, who, waiting):
        self.asked.append((request, who.user_id))
        with waiting:
            await trio.sleep(1000.0 if self.slow else 0.0)
        return LocalAnswer(
            recorded=True,
            durable=True,
            stop_id="s1",
            state=StopState.VERIFIED,
            words="stopped: each of 3 engines is verified",
        )


class Doors:
    def __init__(self, home):
        self.home = home
        self.glass = Glass(home, Address("127.0.0.1", 0))
        self.code = emergency_code(home)
        self.held = []

    async def crowd(self, count, *, path=None, drop=b""):
        """Connections that say next to nothing and stay."""
        for _ in range(count):
            if path is not None:
                stream = await trio.open_unix_socket(str(path))
            else:
                stream = await trio.open_tcp_stream("127.0.0.1", self.address.port)
            await stream.send_all(drop or b" ")
            self.held.append(stream)

    async def kept(self):
        """How many of them the platform still listens to, as soon as that is no crowd any more."""
        for _ in range(100):
            if (count := await self._counted()) <= crowd.CROWD:
                break
        return count

    async def _counted(self):
        ended = []

        async def look(stream):
            with trio.move_on_after(0.2), contextlib.suppress(trio.BrokenResourceError):
                while await stream.receive_some(4096):
                    pass
                ended.append(stream)

        async with trio.open_nursery() as nursery:
            for stream in self.held:
                nursery.start_soon(look, stream)
        return len(self.held) - len(ended)

    async def post(self, http, body, **headers):
        sent = {"content-type": "application/json", **headers}
        return await http.request("POST", f"http://{self.address}/stop", sent, body, timeout=60.0)


@pytest.fixture
async def doors(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        made = Doors(Path(folder))
        async with trio.open_nursery() as nursery:
            door = EmergencyDoor(made.glass, made.code)
            await nursery.start(door.serve_local)
            made.address = await nursery.start(door.serve_page)
            yield made
            for stream in made.held:
                await trio.aclose_forcefully(stream)
            nursery.cancel_scope.cancel()


DROPS = [b"", b"GET / HTTP/1.1\r\nhost: x\r\n", b"POST /stop HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n{"]


@pytest.mark.parametrize("drop", DROPS)
async def test_however_many_say_nothing_to_the_page_a_person_sees_it_and_stops(doors, drop):
    await doors.crowd(crowd.CROWD * 3, drop=drop)
    async with HttpClient() as http:
        shown = await http.request("GET", f"http://{doors.address}/", timeout=60.0)
        assert (shown.status, "긴급 정지" in shown.body.decode()) == (200, True)
        await doors.crowd(crowd.CROWD * 2, drop=drop)
        answer = await doors.post(http, json.dumps({"code": doors.code, "reason": "crowd"}).encode())
    assert (answer.status, [r.reason for r, _ in doors.glass.asked]) == (200, ["crowd"])
    assert await doors.kept() <= crowd.CROWD
    answer = await stop_locally(doors.home, new_request(Scope.everything(), Level.HALT, "beside"))
    assert answer.stop_id == "s1"


@pytest.mark.parametrize("drop", [b"", b'{"request_id": "r1"'])
async def test_however_many_say_nothing_at_the_local_socket_a_stop_gets_through(doors, drop):
    await doors.crowd(crowd.CROWD * 3, path=socket_path(doors.home), drop=drop)
    answer = await stop_locally(doors.home, new_request(Scope.everything(), Level.CANCEL, "crowd"))
    assert (answer.stop_id, [r.reason for r, _ in doors.glass.asked]) == ("s1", ["crowd"])
    assert await doors.kept() <= crowd.CROWD


async def test_who_drips_a_request_is_put_out_in_time(doors, monkeypatch):
    monkeypatch.setattr("actors.emergency.doors.REQUEST_SECONDS", 0.1)
    await doors.crowd(1, drop=b"G")
    with trio.fail_after(60):
        while not await gone(*doors.held):
            pass


async def gone(stream):
    """After another drop."""
    with trio.move_on_after(0.02):
        try:
            await stream.send_all(b"x")
            return not await stream.receive_some(10)
        except trio.BrokenResourceError:
            return True
    return False


async def within(seconds, holds):
    with trio.fail_after(seconds):
        while not holds():  # noqa: ASYNC110 - in another loop, or by a socket
            await trio.sleep(0.01)


async def test_when_all_are_stopped_for_one_more_gets_through_and_the_first_is_answered(doors):
    doors.glass.slow = True
    answers = []

    async def ask(n):
        request = new_request(Scope.everything(), Level.HALT, str(n))
        answers.append((n, await stop_locally(doors.home, request, silence=30)))

    async with trio.open_nursery() as nursery:
        for n in range(crowd.CROWD):
            nursery.start_soon(ask, n)
        await within(60, lambda: len(doors.glass.asked) == crowd.CROWD)
        nursery.start_soon(ask, crowd.CROWD)
        await within(60, lambda: answers)
        assert len(doors.glass.asked) == crowd.CROWD + 1
        assert answers[0][1].stop_id == "s1"
        nursery.cancel_scope.cancel()


async def test_the_page_answers_in_both_languages_what_was_done_and_why_not(doors):
    async with HttpClient() as http:
        done = (await doors.post(http, json.dumps({"code": f" {doors.code}\n"}).encode())).json()
        assert done["said"] == {
            "mark": GOOD,
            "ko": ["정지됨: 엔진 3개 모두 검증 완료"],
            "en": ["stopped: each of 3 engines is verified"],
        }
        for body, headers, status in (
            (b'{"code": "wrong"}', {}, 401),
            ('{"code": "비상 코드"}'.encode(), {}, 401),
            (b'{"code": "\\ud800"}', {}, None),
            (b"{}", {"x-emergency-code": "wrong"}, 401),
            (b"{}", {}, 401),
            (b"nonsense", {}, 400),
        ):
            refused = await doors.post(http, body, **headers)
            shown = refused.json()["said"]
            assert refused.status == status or (status is None and refused.status >= 400)
            assert (shown["mark"], bool(shown["ko"]), bool(shown["en"])) == (BAD, True, True)
            if status == 401:
                assert shown["ko"] != shown["en"]
        old = await doors.post(http, b'{"reason": "by header"}', **{"x-emergency-code": doors.code})
    assert old.status == 200
    assert [r.reason for r, _ in doors.glass.asked] == ["", "by header"]


async def test_without_its_script_the_page_is_a_form_that_never_puts_the_code_into_an_address(doors):
    assert b'method="post"' in page()
    assert "form-action 'self'" in HEADERS["content-security-policy"]
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with HttpClient() as http:
        good = await doors.post(http, f"code={doors.code}&reason=%EA%B8%89%ED%95%A8".encode(), **kind)
        bad = await doors.post(http, b"code=%3Cb%3E", **kind)
    assert (good.status, bad.status) == (200, 401)
    assert "✓ 정지됨: 엔진 3개 모두 검증 완료" in good.body.decode()
    assert "✕ 비상 코드가 다릅니다" in bad.body.decode()
    assert "✕ that is not the emergency code" in bad.body.decode()
    assert doors.code not in good.body.decode() + bad.body.decode()
    assert [r.reason for r, _ in doors.glass.asked] == ["급함"]


async def test_a_form_brings_nothing_into_a_stop_that_the_database_would_refuse(doors):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    async with HttpClient() as http:
        answer = await doors.post(http, f"code={doors.code}&reason=a%00b%ED%A0%80c".encode(), **kind)
    assert answer.status == 200
    ((asked, _who),) = doors.glass.asked
    assert (asked.reason[:2], asked.reason[-1]) == ("a\N{REPLACEMENT CHARACTER}", "c")
    assert decode(encode(asked), LocalRequest) == asked


async def test_a_level_that_stops_nothing_is_refused_at_the_local_socket_and_cuts_nobody_off(doors):
    stream = await trio.open_unix_socket(str(socket_path(doors.home)))
    async with stream:
        await stream.send_all(b'{"request_id": "r1", "level": "NORMAL"}\n')
        with trio.fail_after(5):
            answer = decode(await read_line(stream, 10_000), LocalAnswer)
    assert (answer.recorded, answer.words.partition(":")[0]) == (False, "level")
    assert doors.glass.asked == []


# --- the words ----------------------------------------------------------------------------------------------------


def result(engine_id, phase, error=None):
    return SimpleNamespace(engine_id=engine_id, phase=phase, error=error)


LATE = "not verified within 30 s; the engine keeps trying"


def test_engines_that_are_not_verified_are_named_with_what_they_lack_and_where_to_look():
    stop = SimpleNamespace(
        results=[
            result("alpha", StopPhase.VERIFIED),
            result("beta", StopPhase.UNREACHABLE, "not connected; it gets the stop when it returns"),
            result("gamma", StopPhase.TIMED_OUT, f"error_stop_timeout: {LATE}"),
        ]
    )
    words = TOLD_UNPROVED.format(n=2, n2=3)
    shown = said(SimpleNamespace(recorded=True, durable=False, state=StopState.PARTIAL, words=words, stop=stop))
    assert shown.mark == CARE
    assert shown.ko == (
        "접수되었으나 모두 검증되지는 않음: 엔진 3개 중 2개가 받음",
        "아직 디스크에 저장되지 않음",
        "beta: 도달 불가 – 재연결 시 적용(래치됨) · 연결되지 않음: 돌아오는 즉시 정지를 받습니다",
        "gamma: 시간 초과 · 제때 끝나지 않음: 30초 안에 검증되지 않음. 엔진이 계속 시도합니다",
        "증권사 화면에서 직접 확인할 엔진: beta, gamma",
    )
    assert shown.en[-1] == "look after these on the broker's own screen: beta, gamma"
    assert len(shown.en) == len(shown.ko)


@pytest.mark.parametrize("words", [RECORDED_WORDS, HUNG_DISK, TOLD_UNPROVED, *TOLD.values()])
def test_what_the_thread_says_has_its_korean(words):
    english = words.format(n=1, n2=2)
    assert put(english, "ko") != english
    frozen = said(LocalAnswer(recorded=True, durable=True, words=english))
    assert (frozen.mark, len(frozen.ko)) == (CARE, 2)
    cut_off = f"2 engines were cut off and halt by lease within 15 s; not recorded: {english}"
    refused = said(LocalAnswer(recorded=False, words=cut_off))
    assert (refused.mark, english in refused.ko[0]) == (BAD, False)


# --- behind the doors ---------------------------------------------------------------------------------------------


class Beside:
    """A main loop in a thread of its own that never comes to a request, and a journal that may hang."""

    def __init__(self):
        self.go_on, self.ready = threading.Event(), threading.Event()
        self.written, self.hangs = [], threading.Event()
        self.hangs.set()

    def run(self):
        async def main():
            self.token = trio.lowlevel.current_trio_token()
            self.ready.set()
            self.go_on.wait(240)  # it stands still

        trio.run(main)

    def append_within(self, seconds, records):
        self.hangs.wait(240)
        self.written += records
        return True

    def glass(self):
        register = SimpleNamespace(epoch=1, entries={})
        shelf = SimpleNamespace(decided_elsewhere=[], book=SimpleNamespace(runs={}, register=register))
        return BreakGlass(services=None, copies=self, shelf=shelf, sockets=glass.EngineSockets(), main=self.token)


@pytest.fixture
def beside():
    made = Beside()
    thread = threading.Thread(target=made.run)
    thread.start()
    assert made.ready.wait(60)
    yield made
    made.hangs.set()
    made.go_on.set()
    thread.join(60)


async def test_a_loop_that_stands_still_may_be_asked_any_number_of_times_and_every_stop_is_written_down(
    beside, monkeypatch
):
    monkeypatch.setattr(glass, "MAIN_LOOP_SECONDS", 0.05)
    broken, answers = beside.glass(), []

    async def ask(n):
        request = LocalRequest(request_id=f"r{n}", reason=str(n))
        answers.append(await broken.stop(request, local_operator()))

    before = threading.active_count()
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            for n in range(300):
                nursery.start_soon(ask, n)
    assert {(a.recorded, a.words) for a in answers} == {(True, RECORDED_WORDS)}
    assert len({a.stop_id for a in answers}) == 1
    assert {record.request_id for record in beside.written} == {f"r{n}" for n in range(300)}
    assert threading.active_count() <= before + 45  # what trio keeps for writes; none waits for the main loop


async def test_a_disk_that_hangs_is_said_and_holds_up_no_answer(beside, monkeypatch):
    monkeypatch.setattr(glass, "MAIN_LOOP_SECONDS", 0.05)
    monkeypatch.setattr(glass, "DISK_SECONDS", 0.1)
    beside.hangs.clear()
    ours, theirs = socket.socketpair()
    broken = beside.glass()
    broken.sockets.add(ours)
    with trio.fail_after(60):
        answer = await broken.stop(LocalRequest(request_id="r1"), local_operator())
    assert (answer.recorded, answer.words) == (
        False,
        f"1 engines were cut off and halt by lease within 15 s; not recorded: {HUNG_DISK}",
    )
    assert theirs.recv(1) == b""
    ours.close()
    theirs.close()
