"""The emergency page in a real Chromium, at a door with nothing behind it that could stop anything."""

import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest
import trio

from actors.config import Address
from actors.emergency.doors import EmergencyDoor
from actors.emergency.glass import RECORDED_WORDS
from actors.emergency.local_socket import LocalAnswer

pytestmark = pytest.mark.browser
CODE = "a-code-of-the-test"
PATIENCE_MS = 60_000


class Platform:
    """Its main loop stands still: what it says is what the emergency thread says. It may also say nothing at all."""

    def __init__(self):
        settings = SimpleNamespace(emergency=Address("127.0.0.1", 0), emergency_tls=None)
        self.services = SimpleNamespace(settings=settings)
        self.says_nothing = False
        self.reasons = []
        self.ready = threading.Event()

    async def stop(self, request, who, waiting):
        self.reasons.append(request.reason)
        await trio.sleep(1000.0 if self.says_nothing else 0.0)
        return LocalAnswer(recorded=True, durable=True, stop_id="s1", words=RECORDED_WORDS)

    def end(self):
        with suppress(trio.RunFinishedError):
            self.token.run_sync_soon(self.over.set)

    def run(self):
        async def main():
            self.token, self.over = trio.lowlevel.current_trio_token(), trio.Event()
            async with trio.open_nursery() as nursery:
                address = await nursery.start(EmergencyDoor(self, CODE).serve_page)
                self.url = f"http://{address}/"
                self.ready.set()
                await self.over.wait()
                nursery.cancel_scope.cancel()

        trio.run(main)


@pytest.fixture
def platform():
    made = Platform()
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    assert made.ready.wait(60)
    yield made
    made.end()
    thread.join(60)


@pytest.fixture
def expect():
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE_MS)
    return expect


@pytest.fixture
def tab(browser, platform):
    context = browser.new_context(viewport={"width": 320, "height": 568})
    made = context.new_page()
    made.set_default_timeout(PATIENCE_MS)
    complaints = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.clock.install()
    made.goto(platform.url)
    yield made
    context.close()
    assert complaints == []


def press(tab, code=CODE):
    tab.locator("input[name=code]").fill(code)
    tab.locator("button").click()


def test_the_button_looks_like_the_stop_and_stays_in_view_and_the_other_ways_stand_below(tab):
    tab.evaluate("scrollTo(0, document.body.scrollHeight)")
    box = tab.locator("button").bounding_box()
    assert box["height"] >= 48
    assert 0 <= box["y"] < 40
    drawn = "getComputedStyle(document.querySelector('button'))"
    background, frame = tab.evaluate(f"[{drawn}.backgroundColor, {drawn}.borderImageSource]")
    assert background == "rgb(255, 201, 60)"  # not red: that is a rising price
    assert frame.startswith("repeating-linear-gradient")
    assert tab.locator("button svg").count() == 1
    ways = tab.locator("ol li").all_inner_texts()
    assert [way for way, word in zip(ways, ("--local", "STOP", "증권사"), strict=True) if word in way] == ways


def test_what_became_of_the_stop_stands_there_in_korean_and_in_english(tab, platform, expect):
    press(tab, "비상 wrong")
    expect(tab.locator("output [lang=ko]")).to_contain_text("✕ 비상 코드가 다릅니다")
    expect(tab.locator("output [lang=en]")).to_contain_text("✕ that is not the emergency code")
    assert platform.reasons == []
    tab.locator("input[name=reason]").fill("시세 이상")
    press(tab)
    expect(tab.locator("output [lang=ko]")).to_contain_text("▲ 기록됨: 플랫폼 본체가 응답하지 않아")
    expect(tab.locator("output [lang=en]")).to_contain_text(RECORDED_WORDS)
    assert platform.reasons == ["시세 이상"]
    assert CODE not in tab.url
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320


def test_a_silence_names_the_other_ways_and_does_not_pretend_to_know(tab, platform, expect):
    platform.says_nothing = True
    press(tab)
    expect(tab.locator("output [lang=ko]")).to_contain_text("정지하는 중")
    tab.clock.run_for(6_000)
    for language, said in (("ko", "아직 답이 없습니다"), ("en", "no answer yet")):
        expect(tab.locator(f"output [lang={language}]")).to_contain_text(said)
        expect(tab.locator(f"output [lang={language}]")).to_contain_text("watchkeeper stop --local")
    platform.end()
    for language, said in (("ko", "정지 여부를 알 수 없습니다"), ("en", "nobody knows whether it stopped")):
        expect(tab.locator(f"output [lang={language}]")).to_contain_text(said)
