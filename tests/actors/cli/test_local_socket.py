"""A stop by the local socket: what is said when nobody answers there, and why."""

import json
import tempfile
from pathlib import Path

import pytest
import trio

from actors.emergency.local_socket import GONE, HUNG, new_request, socket_path, stop_locally
from store.left_stops import FOLDER
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
