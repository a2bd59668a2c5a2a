"""An asyncio engine that is killed in the middle of a FLATTEN: its latch goes on with it, and nothing is done twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wire.sdk import Level
from wire.values import Flatness, LatchState, StopPhase

P = StopPhase
HELD = 12

BOT = '''
import asyncio, json, os, sys
from pathlib import Path
from uuid import uuid4
from wire.sdk import Position, Reading, WorkingAtBroker
from wire.sdk.aio import EngineLink

FILE = Path(sys.argv[3])
SLOW = FILE.with_name("slow")

def broker():
    return json.loads(FILE.read_text())

def keep(account):
    FILE.with_suffix(".new").write_text(json.dumps(account))
    os.replace(FILE.with_suffix(".new"), FILE)

def read():
    """Whatever works fills by one share a look; while the market is slow only the first three."""
    account = broker()
    for order_id, left in list(account["working"].items()):
        if account["sold"] == 3 and SLOW.exists():
            break
        account["held"] -= 1
        account["sold"] += 1
        account["working"][order_id] = left - 1
        if left == 1:
            del account["working"][order_id]
    keep(account)
    held = Position(symbol="005930", quantity=account["held"], average_price=1000, strategy_id="bot")
    orders = [
        WorkingAtBroker(order_id=i, symbol="005930", side="sell", remaining=q, price=900, strategy_id="bot")
        for i, q in account["working"].items()
    ]
    return Reading(positions=[held] if account["held"] else [], orders=orders)

async def main():
    link = EngineLink(sys.argv[1], Path(sys.argv[2]), name="Bot", read_every=0.1)
    link.strategy("bot", name="Bot", schema={}, parameters={})

    async def cancel_all(orders):
        for order in orders:
            with link.cancelling(order.order_id, symbol=order.symbol, strategy_id=order.strategy_id):
                account = broker()
                account["cancelled"] += order.order_id in account["working"]
                account["working"].pop(order.order_id, None)
                keep(account)

    async def flatten(closings):
        for close in closings:
            order_id = uuid4().hex
            sale = {"symbol": close.symbol, "side": "sell", "quantity": close.quantity, "strategy_id": "bot"}
            with link.sending(order_id, **sale, closing=True):
                account = broker()
                account["working"][order_id] = close.quantity
                account["sent"].append(close.quantity)
                keep(account)

    link.broker(read_account=read, cancel_all=cancel_all, flatten=flatten)
    async with link:
        await asyncio.sleep(600)

asyncio.run(main())
'''


@pytest.fixture
def bot(tmp_path, platform):
    """``bot()`` starts it as a process; all are killed in the end."""
    script, account = tmp_path / "bot.py", tmp_path / "account.json"
    script.write_text(BOT)
    account.write_text(json.dumps({"held": HELD, "sold": 0, "working": {}, "sent": [], "cancelled": 0}))
    credential = platform.credential(tmp_path / "engine.json")
    running = []

    def start():
        command = [sys.executable, str(script), str(credential), str(tmp_path / "state"), str(account)]
        root = str(Path(__file__).resolve().parents[4])
        with (tmp_path / "bot.log").open("ab") as log:
            process = subprocess.Popen(
                command, env={**os.environ, "PYTHONPATH": root}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        running.append(process)
        return process

    start.account = lambda: json.loads(account.read_text())
    yield start
    for process in running:
        killed(process)


def killed(process):
    process.kill()
    process.wait(60)


def test_a_flatten_goes_on_after_kill_9_and_no_share_is_sold_twice(bot, platform, tmp_path):
    slow = tmp_path / "slow"
    slow.touch()
    first = bot()
    platform.until(lambda: platform.is_linked, within=90.0)
    platform.stop("x", level=Level.FLATTEN)
    platform.until(lambda: bot.account()["sold"] >= 3)
    killed(first)
    slow.unlink()
    account, since = bot.account(), len(platform.heard)
    assert 0 < account["held"] < HELD
    assert not [m for m in platform.heard if getattr(m, "phase", None) is P.VERIFIED]
    second = bot()
    done = platform.phase(P.VERIFIED, "x", since=since, within=90.0)
    assert (done.flatness, done.positions_remaining, done.latched) == (Flatness.FLAT, 0, True)
    hello = platform.hellos[1]
    assert ([(s.stop_id, s.level) for s in hello.stops], hello.latch) == ([("x", Level.FLATTEN)], LatchState.PRESENT)
    account = bot.account()
    assert (account["held"], account["sold"], account["working"]) == (0, HELD, {})
    # What the first process had sent was withdrawn and only the rest sent anew, never the whole again.
    assert account["sent"][0] == HELD
    assert all(later < HELD for later in account["sent"][1:])
    assert account["cancelled"] >= 1

    # A verified stop is held by a third process and carried out by none; a released one is not even held.
    killed(second)
    third = bot()
    platform.until(lambda: len(platform.hellos) == 3 and platform.is_linked, within=90.0)
    assert bot.account() == account
    platform.release("x")
    platform.until(lambda: platform.unacked == 0)
    killed(third)
    bot()
    platform.until(lambda: len(platform.hellos) == 4 and platform.is_linked, within=90.0)
    assert platform.hellos[3].stops == []
    assert bot.account() == account
