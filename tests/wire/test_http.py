"""The HTTP client: what is written when, what is kept, and what an error says."""

import ssl

import h11
import pytest
import trio
import trio.testing

from wire.http import BadResponse, ConnectFailed, ConnectionLost, HttpClient, RequestTimeout

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Tr: F\r\n\r\nok"
URL = "http://broker.test/orders"


class Peer:
    """Servers in memory. ``script`` gives, per connection, what is answered to each request; None hangs up."""

    def __init__(self, nursery, *scripts):
        self.nursery = nursery
        self.scripts = list(scripts)
        self.connections = 0
        self.seen = []

    async def connect(self, host, port):
        await trio.lowlevel.checkpoint()
        mine, theirs = trio.testing.memory_stream_pair()
        self.connections += 1
        self.nursery.start_soon(self.serve, theirs, self.scripts.pop(0))
        return mine

    async def serve(self, stream, script):
        parser = h11.Connection(h11.SERVER)
        for answer in script:
            request = await self.read(stream, parser)
            if request is None:
                break
            self.seen.append(request)
            if answer is None:
                break
            if answer is not Silence:
                await stream.send_all(answer)
                parser = h11.Connection(h11.SERVER)
            else:
                await trio.sleep_forever()
        await stream.aclose()

    async def read(self, stream, parser):
        request, body = None, b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = await stream.receive_some()
                if not data:
                    return None
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return request.method.decode(), request.target.decode(), dict(request.headers), body


class Silence:
    """The server reads and never answers."""


@pytest.fixture
def make(nursery):
    def make(*scripts, **options):
        peer = Peer(nursery, *scripts)
        return peer, HttpClient(connect=peer.connect, **options)

    return make


async def test_a_request_is_written_whole_and_its_answer_read_whole(make):
    peer, http = make([OK])
    answer = await http.request("POST", URL + "?a=1", {"x-key": "v"}, b"body", timeout=5)
    assert (answer.status, answer.body, answer.headers["x-tr"]) == (200, b"ok", "F")
    ((method, target, headers, body),) = peer.seen
    assert (method, target, body) == ("POST", "/orders?a=1", b"body")
    assert headers[b"content-length"] == b"4"
    assert headers[b"host"] == b"broker.test"


async def test_a_connection_is_kept_and_used_again(make):
    peer, http = make([OK, OK, OK])
    for _ in range(3):
        await http.request("GET", URL, timeout=5)
    assert peer.connections == 1


async def test_a_connection_that_was_idle_for_too_long_is_not_trusted(make, autojump_clock):
    peer, http = make([OK], [OK], idle=10.0)
    await http.request("GET", URL, timeout=5)
    await trio.sleep(11)
    await http.request("GET", URL, timeout=5)
    assert peer.connections == 2


async def test_a_read_on_a_dead_kept_connection_is_sent_once_more_on_a_fresh_one(make):
    peer, http = make([OK, None], [OK])
    await http.request("GET", URL, timeout=5)
    answer = await http.request("GET", URL, timeout=5)
    assert (answer.status, peer.connections) == (200, 2)


async def test_an_order_on_a_dead_kept_connection_is_never_sent_again(make):
    peer, http = make([OK, None], [OK])
    await http.request("GET", URL, timeout=5)
    with pytest.raises(ConnectionLost) as lost:
        await http.request("POST", URL, body=b"order", timeout=5)
    assert lost.value.written
    assert peer.connections == 1


async def test_a_read_that_fails_on_a_fresh_connection_is_not_repeated(make):
    peer, http = make([None], [OK])
    with pytest.raises(ConnectionLost):
        await http.request("GET", URL, timeout=5)
    assert peer.connections == 1


async def test_what_before_write_raises_comes_out_and_no_byte_is_written(make):
    class Closed(Exception):
        pass

    def refuse():
        raise Closed

    peer, http = make([OK], [OK])
    with pytest.raises(Closed):
        await http.request("POST", URL, body=b"order", timeout=5, before_write=refuse)
    await trio.testing.wait_all_tasks_blocked()
    assert peer.seen == []
    assert (await http.request("GET", URL, timeout=5)).status == 200


async def test_no_other_task_runs_between_before_write_and_the_first_byte(nursery, autojump_clock):
    happened = []

    class Transport(trio.abc.Stream):
        async def wait_send_all_might_not_block(self):
            await trio.sleep(1)

        async def send_all(self, data):
            happened.append("first byte")
            await trio.lowlevel.checkpoint()

        async def receive_some(self, max_bytes=None):
            await trio.lowlevel.checkpoint()
            return OK

        async def aclose(self):
            await trio.lowlevel.checkpoint()

    async def connect(host, port):
        await trio.lowlevel.checkpoint()
        return Transport()

    async def busybody():
        while True:
            happened.append("another task")
            await trio.sleep(0.01)

    nursery.start_soon(busybody)
    http = HttpClient(connect=connect)
    await http.request("POST", URL, body=b"x", timeout=5, before_write=lambda: happened.append("check"))
    nursery.cancel_scope.cancel()
    assert happened[happened.index("check") + 1] == "first byte"


async def test_a_deadline_says_whether_anything_was_written(make, autojump_clock):
    _peer, http = make([Silence])
    with pytest.raises(RequestTimeout) as late:
        await http.request("POST", URL, body=b"order", timeout=3)
    assert late.value.written


async def test_waiting_for_a_free_connection_counts_into_the_deadline_and_writes_nothing(make, nursery, autojump_clock):
    peer, http = make([Silence], max_connections=1)

    async def hog():
        with pytest.raises(RequestTimeout):
            await http.request("GET", URL, timeout=60)

    nursery.start_soon(hog)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(RequestTimeout) as late:
        await http.request("POST", URL, timeout=1)
    assert not late.value.written
    assert peer.connections == 1


async def test_an_unreachable_server_is_a_failure_before_anything_was_written():
    async def connect(host, port):
        await trio.lowlevel.checkpoint()
        raise OSError("refused")

    with pytest.raises(ConnectFailed) as failed:
        await HttpClient(connect=connect).request("POST", URL, timeout=5)
    assert not failed.value.written


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99])
async def test_an_answer_that_is_no_http_or_too_large_is_refused(make, answer):
    _peer, http = make([answer], max_response=50)
    with pytest.raises(BadResponse):
        await http.request("GET", URL, timeout=5)


async def test_errors_name_the_path_and_neither_query_nor_headers_nor_body(make):
    _peer, http = make([None])
    with pytest.raises(ConnectionLost) as lost:
        await http.request("POST", URL + "?account=12345678", {"appsecret": "hush"}, b"secret body", timeout=5)
    text = repr(lost.value) + str(lost.value) + repr(vars(lost.value))
    assert "/orders" in text
    assert not any(secret in text for secret in ("12345678", "hush", "secret body"))


async def test_a_cancelled_request_leaves_no_half_used_connection_behind(make, autojump_clock):
    peer, http = make([Silence], [OK])
    with trio.move_on_after(1):
        await http.request("GET", URL, timeout=60)
    assert (await http.request("GET", URL, timeout=5)).status == 200
    assert peer.connections == 2


async def test_under_tls_the_check_is_still_the_last_step_and_a_wrong_certificate_writes_nothing(nursery):
    async def plain_server(stream):
        await stream.receive_some()
        await stream.send_all(b"not tls")
        await stream.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, plain_server, listeners)
    port = listeners[0].socket.getsockname()[1]
    checked = []
    http = HttpClient(ssl_context=ssl.create_default_context())
    with pytest.raises(ConnectFailed) as failed:
        await http.request("POST", f"https://127.0.0.1:{port}/", timeout=60, before_write=lambda: checked.append(1))
    assert not failed.value.written
    assert checked == []
    nursery.cancel_scope.cancel()
