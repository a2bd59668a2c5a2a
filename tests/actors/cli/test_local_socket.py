"""A stop by the local socket: what is said when nobody answers there, and why."""

import json
import tempfile
from pathlib import Path

import pytest
import trio

from actors.emergency.local_socket import GONE, HUNG, LocalAnswer, new_request, socket_path, stop_locally
from store.left_stops import FOLDER
from wire.codec import encode
from wire.stops import Level, Scope


@pytest.fixture
def home():
    """With a name that is short enough for a socket in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize(("hangs", "words"), [(False, GONE), (True, HUNG)])
async def test_a_stop_that_nobody_answers_is_left_and_the_words_say_which_it_is(home, hangs, words):
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    if hangs:  # like a process that was stopped: the kernel connects, and nobody ever reads
        await listener.bind(str(socket_path(home)))
        listener.listen(1)
    request = new_request(Scope.everything(), Level.FLATTEN, "nobody answers")
    answer = await stop_locally(home, request, patience=0.05 if hangs else 40.0)
    listener.close()
    assert (answer.recorded, answer.durable, answer.words) == (True, True, words)
    (left,) = (home / FOLDER).iterdir()
    assert json.loads(left.read_text())["request_id"] == request.request_id


TAKEN = LocalAnswer(recorded=True, durable=True, stop_id="s1", words="taken")
NOT_DURABLE = LocalAnswer(recorded=True, durable=False, stop_id="s1", words="taken")
NOT_RECORDED = LocalAnswer(recorded=False, durable=False, stop_id="s1", words="cut off; not recorded")
REFUSED = LocalAnswer(recorded=False, words="there is no such engine")


@pytest.mark.parametrize(("said", "stay"), [(None, 1), (TAKEN, 0), (REFUSED, 0), (NOT_DURABLE, 1), (NOT_RECORDED, 1)])
async def test_while_the_platform_says_nothing_the_stop_is_on_the_disk_until_another_copy_is(home, said, stay):
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(socket_path(home)))
    listener.listen(1)
    request = new_request(Scope.everything(), Level.FLATTEN, "slow")
    on_disk = trio.Event()

    async def platform():
        peer, _ = await listener.accept()
        with peer:
            while not list((home / FOLDER).glob("*.json")):  # noqa: ASYNC110 - a file comes with no event
                await trio.sleep(0.02)
            on_disk.set()  # whoever asked may be gone by now
            if said is not None:
                await peer.send(encode(said).encode() + b"\n")
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(platform)
        with trio.fail_after(120):
            answer = await stop_locally(home, request, patience=60.0 if said else 1.5, silence=0.1)
            await on_disk.wait()
        nursery.cancel_scope.cancel()
    listener.close()
    assert (answer.stop_id, answer.words) == ((said.stop_id, said.words) if said else (None, HUNG))
    assert len(list((home / FOLDER).iterdir())) == stay
