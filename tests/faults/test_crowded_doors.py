"""A crowd at every door of a platform that may hold few descriptors: a person still stops by each of the ways."""

import os
import subprocess
import sys
from contextlib import suppress
from functools import partial

import pytest
import trio

from actors.emergency.doors import CODE_FILE
from actors.emergency.local_socket import new_request, socket_path, stop_locally
from tests.ports import free_port
from wire.http import HttpClient, HttpError
from wire.stops import Level, Scope

pytestmark = pytest.mark.database

DESCRIPTORS = 512
CROWD = 200
PAUSE = 3.0
PASSWORD = "a-long-password"
PLATFORM = f"""
import os, resource, trio
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from actors.config import load_settings
from actors.platform.platform import run_platform
trio.run(run_platform, load_settings({{}}, os.environ))
"""


async def opened(address):
    if isinstance(address, str):
        return await trio.open_unix_socket(address)
    return await trio.open_tcp_stream(*address)


def started(environment):
    return subprocess.Popen([sys.executable, "-c", PLATFORM], env=environment, stderr=subprocess.DEVNULL)


async def come(nursery, address, words):
    """A guest that says its words and stays; put out, it comes again, as a hostile one would."""

    async def guest():
        while True:
            with suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                async with await opened(address) as stream:
                    await stream.send_all(words)
                    while await stream.receive_some(4096):
                        pass
            await trio.sleep(PAUSE)

    for _ in range(CROWD):
        nursery.start_soon(guest)


async def persistent(ask, answers):
    """On a machine that does much else the crowd comes back before the platform has read a word: as a person, again."""
    for _ in range(5):
        with suppress(HttpError):
            if answers(answer := await ask()):
                return answer
    return await ask()


async def test_a_person_gets_through_every_door_that_a_crowd_stands_at(home, database_dsn):
    ports = [free_port() for _ in range(3)]
    http, engines, page = (f"127.0.0.1:{port}" for port in ports)
    environment = {
        **os.environ,
        "WATCHKEEPER_HOME": str(home),
        "WATCHKEEPER_DATABASE_URL": database_dsn,
        "WATCHKEEPER_HTTP": http,
        "WATCHKEEPER_ENGINES": engines,
        "WATCHKEEPER_EMERGENCY": page,
        "WATCHKEEPER_ADMIN_PASSWORD": PASSWORD,
    }
    platform = started(environment)
    try:
        with trio.fail_after(180):
            while not (home / "stop.sock").exists():  # noqa: ASYNC110 - of another process
                await trio.sleep(0.1)
        async with trio.open_nursery() as crowd:
            await come(crowd, ("127.0.0.1", ports[0]), b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            await come(crowd, ("127.0.0.1", ports[1]), b"GET")
            await come(crowd, ("127.0.0.1", ports[2]), b"POST /stop HTTP/1.1\r\ncontent-length: 99\r\n\r\n{")
            await come(crowd, str(socket_path(home)), b"{")
            await trio.sleep(2.0)

            async def ask(name, method, url, body, **headers):
                async with HttpClient() as client:
                    sent = {"content-type": "application/json", **headers}
                    answer = await persistent(
                        partial(client.request, method, f"http://{url}", sent, body, timeout=90.0), lambda _: True
                    )
                assert answer.status == 200, (name, answer)
                return answer

            await ask("page", "GET", f"{page}/", b"")
            code = (home / CODE_FILE).read_text().strip()
            stopped = await ask("page's stop", "POST", f"{page}/stop", b"{}", **{"x-emergency-code": code})
            assert stopped.json()["recorded"]
            request = new_request(Scope.everything(), Level.HALT, "crowd")
            local = await persistent(partial(stop_locally, home, request), lambda answer: answer.stop_id is not None)
            assert (local.recorded, local.stop_id) == (True, stopped.json()["stop_id"])
            said = f'{{"username": "admin", "password": "{PASSWORD}"}}'.encode()
            signed = (await ask("sign-in", "POST", f"{http}/api/auth/login", said)).json()
            who = {"authorization": f"Bearer {signed['access_token']}"}
            await ask("stop", "POST", f"{http}/api/engines/emergency-stop", b"{}", **who)
            crowd.cancel_scope.cancel()
    finally:
        platform.kill()
        platform.wait(60)
