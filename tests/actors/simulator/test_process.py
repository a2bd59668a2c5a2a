"""The simulator as a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

pytestmark = pytest.mark.journey
COMMAND = [sys.executable, "-m", "actors.simulator"]
KEYS = {"appkey": "PSprocess", "appsecret": "process-secret"}
ACCOUNT = {"account": "12345678-01", "app_key": KEYS["appkey"], "app_secret": KEYS["appsecret"], "cash": 50_000_000}
PATH = "/uapi/domestic-stock/v1/trading/"
BARS = "code,date,open,high,low,close,volume\n005930,20200302,55000,55400,54600,55000,30403412\n"


@pytest.fixture
def start(tmp_path):
    """Start the process; returns it and its base URL."""
    (tmp_path / "accounts.json").write_text(json.dumps({"accounts": [ACCOUNT]}))
    started = []

    def run(*flags):
        port = tmp_path / "port"
        port.unlink(missing_ok=True)
        files = ["--home", tmp_path / "home", "--port-file", port, "--accounts", tmp_path / "accounts.json"]
        command = [*COMMAND, "--listen", "127.0.0.1:0", *map(str, files), *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        deadline = time.monotonic() + 90
        while not port.exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process, f"http://{port.read_text().strip()}"

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(60)
        process.stdout.close()
        process.stderr.close()


def refused(*flags):
    done = subprocess.run([*COMMAND, *flags], capture_output=True, text=True, timeout=120, check=False)
    assert len(done.stderr.strip().splitlines()) == 1
    return done.returncode, done.stderr


def ask(url, path, body=None, **headers):
    wanted = urllib.request.Request(
        url + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(wanted, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def login(url):
    token = ask(url, "/oauth2/tokenP", {"grant_type": "client_credentials", **KEYS})["access_token"]
    return {"authorization": f"Bearer {token}", **KEYS}


def buy(url, keys, tr_id="TTTC0012U"):
    order = {
        "CANO": "12345678",
        "ACNT_PRDT_CD": "01",
        "PDNO": "005930",
        "ORD_DVSN": "01",
        "ORD_QTY": "3",
        "ORD_UNPR": "0",
    }
    for _ in range(200):  # until the opening auction has passed
        answer = ask(url, PATH + "order-cash", order, tr_id=tr_id, **keys)
        if answer["rt_cd"] == "0":
            return answer["output"]["ODNO"]
        time.sleep(0.1)
    raise AssertionError(answer)


def orders(url, keys):
    query = "CANO=12345678&ACNT_PRDT_CD=01&INQR_STRT_DT=19000101&INQR_END_DT=29991231&INQR_DVSN=01"
    return ask(url, PATH + f"inquire-daily-ccld?{query}", tr_id="TTTC0081R", **keys)["output1"]


def test_books_survive_kill_9_and_the_process_obeys_sigterm(start, tmp_path):
    (tmp_path / "bars.csv").write_text(BARS)
    process, url = start("--data", str(tmp_path / "bars.csv"), "--speed", "1", "--seed", "3")
    keys = login(url)
    numbers = [buy(url, keys) for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    process.wait(60)

    process, url = start("--data", str(tmp_path / "bars.csv"), "--speed", "1", "--seed", "3")
    rows = orders(url, login(url))
    assert [row["odno"] for row in rows] == numbers
    assert {row["ord_dt"] for row in rows} == {"20200302"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not (tmp_path / "port").exists()


def test_secrets_in_the_home_folder_are_the_owners_alone(start, tmp_path):
    start()
    files = [path for path in (tmp_path / "home").iterdir()]
    assert len(files) >= 2
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "home", *files])


def test_what_cannot_be_used_is_refused_in_one_line(tmp_path):
    home = ["--home", str(tmp_path / "home")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, words = refused("--listen", f"127.0.0.1:{taken.getsockname()[1]}", *home)
        assert (code, "cannot listen" in words) == (3, True)
    (tmp_path / "file").write_text("")
    for flags in (
        ["--data", str(tmp_path / "none.csv"), *home],
        ["--data", str(tmp_path / "file"), *home],
        ["--accounts", str(tmp_path / "none.toml"), *home],
        ["--accounts", str(tmp_path / "file"), *home],
        ["--home", str(tmp_path / "file")],
        ["--listen", "0.0.0.0:0", *home],
        ["--listen", "nowhere", *home],
        ["--speed", "0", *home],
    ):
        assert refused(*flags)[0] == 3, flags


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_without_write_permission_is_refused(tmp_path):
    (tmp_path / "home").mkdir(mode=0o500)
    assert refused("--home", str(tmp_path / "home"))[0] == 3
