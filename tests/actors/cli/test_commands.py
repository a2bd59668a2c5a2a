"""The command line as real processes: one clear line and the right exit code for what can go wrong."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from actors.cli import clash, home, main, stopping
from actors.cli.remote import Session, SessionFile
from actors.errors import Refused
from actors.platform import opening
from store.left_stops import FOLDER


@pytest.fixture
def watchkeeper(tmp_path):
    def run(*arguments, environ=None, home=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WATCHKEEPER_")}
        environment |= {"WATCHKEEPER_HOME": str(home or tmp_path), **(environ or {})}
        return subprocess.run(
            [sys.executable, "-m", "actors", *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def refused(done, words):
    """One line on stderr, exit code 3."""
    assert done.returncode == 3
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("watchkeeper: ")
    assert words in line


def test_without_a_command_the_usage_is_told(watchkeeper):
    done = watchkeeper()
    assert done.returncode == 2
    assert "COMMAND" in done.stderr


@pytest.mark.parametrize(
    "command", ["stop", "release", "status", "logs", "engines", "users", "keys", "audit", "doctor", "config"]
)
def test_every_command_explains_itself(watchkeeper, command):
    done = watchkeeper(command, "--help")
    assert done.returncode == 0
    assert f"watchkeeper {command}" in done.stdout


def test_config_tells_every_setting_its_origin_and_no_secret(watchkeeper):
    environ = {"WATCHKEEPER_ADMIN_PASSWORD": "CANARY", "WATCHKEEPER_DATABASE_URL": "postgresql://u:CANARY@h/d"}
    done = watchkeeper("config", "--http", "127.0.0.1:9", environ=environ)
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert "http 127.0.0.1:9 [flag]" in shown
    assert "admin_password (set) [environment]" in shown
    assert "CANARY" not in done.stdout + done.stderr


def test_a_wrong_database_url_is_one_line(watchkeeper):
    for command in ("config", "up"):
        refused(
            watchkeeper(command, environ={"WATCHKEEPER_DATABASE_URL": "mysql://x/y"}), "must look like postgresql://"
        )


def test_a_home_that_cannot_be_used_is_one_line(watchkeeper, tmp_path):
    (tmp_path / "file").touch()
    refused(watchkeeper("up", home=tmp_path / "file" / "home"), "cannot be used")


def test_the_lock_is_the_platforms(tmp_path):
    assert home.LOCK_FILE == opening.LOCK_FILE
    assert not home.is_in_use(tmp_path)
    with opening.home_of_one(tmp_path):
        assert home.is_in_use(tmp_path)


def test_a_stop_nobody_confirms_is_refused(watchkeeper):
    refused(watchkeeper("stop"), "add --yes")


@pytest.mark.parametrize(("said", "code"), [("y", 0), ("YES ", 0), ("", 3), ("n", 3), ("yeah", 3)])
def test_a_person_at_a_terminal_is_asked_once_what_will_be_stopped(monkeypatch, tmp_path, said, code):
    asked = []
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or said)
    monkeypatch.setattr(stopping, "stop_locally", lambda home, request: 0)
    assert main(["stop", "--local", "--home", str(tmp_path)]) == code
    assert asked == ["Stop everything, level FLATTEN? [y/N] "]


def test_a_stop_of_a_scope_that_is_none_is_refused_before_anything_is_asked(watchkeeper):
    refused(watchkeeper("stop", "--scope", "everything", "--yes"), "--scope must be all")


def test_a_stop_that_reaches_no_platform_says_how_to_do_without_it(watchkeeper):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"  # nobody else gets this port meanwhile
        done = watchkeeper("stop", "--yes", "--url", url, environ={"WATCHKEEPER_PASSWORD": "x"})
    refused(done, "watchkeeper stop --local")


def test_a_local_stop_without_a_platform_is_left_for_the_next_start(watchkeeper, tmp_path):
    done = watchkeeper("stop", "--local", "--yes", "--scope", "engine:E1", "--level", "HALT", "--reason", "fire")
    assert done.returncode == 1
    assert "no platform runs here" in done.stdout
    [left] = (tmp_path / FOLDER).iterdir()
    assert left.stat().st_mode & 0o077 == 0
    kept = json.loads(left.read_text())
    assert (kept["scope"], kept["level"], kept["reason"]) == ("engine:E1", "HALT", "fire")


def test_a_stop_that_is_left_for_an_unknown_engine_is_kept_and_its_operator_is_told(watchkeeper, tmp_path):
    engine = {"engine_id": "E1", "name": "E1", "account_id": "A1", "secret_hash": "00"}
    (tmp_path / "engines.json").write_text(json.dumps([engine]))
    for scope, covers in (("engine:E1", True), ("account:A1", True), ("all", True), ("engine:E2", False)):
        done = watchkeeper("stop", "--local", "--yes", "--scope", scope)
        assert done.returncode == 1
        assert ("covers none of the engines" in done.stderr) is not covers
    assert len(list((tmp_path / FOLDER).iterdir())) == 4


def test_a_local_drill_needs_a_platform(watchkeeper, tmp_path):
    refused(watchkeeper("stop", "--local", "--yes", "--drill"), "a drill needs one")
    assert not (tmp_path / "stops.left").exists()


def test_a_local_stop_where_nothing_ever_ran_is_refused(watchkeeper, tmp_path):
    refused(watchkeeper("stop", "--local", "--yes", home=tmp_path / "none"), "there is no home folder")


def test_without_a_password_nothing_is_asked_in_a_pipe(watchkeeper):
    refused(watchkeeper("status"), "WATCHKEEPER_PASSWORD")


def test_a_credential_file_is_never_overwritten(watchkeeper, tmp_path):
    (tmp_path / "engine.json").write_text("precious")
    done = watchkeeper("engines", "add", "Alpha", "--account", "A1", "-o", str(tmp_path / "engine.json"))
    refused(done, "is not overwritten")
    assert (tmp_path / "engine.json").read_text() == "precious"


def test_a_credential_file_is_taken_away_again_when_the_platform_is_not_reached(watchkeeper, tmp_path):
    done = watchkeeper(
        *("engines", "add", "Alpha", "--account", "A1", "-o", str(tmp_path / "e.json"), "--url", "http://127.0.0.1:1"),
        environ={"WATCHKEEPER_PASSWORD": "x"},
    )
    refused(done, "no platform answers")
    assert not (tmp_path / "e.json").exists()


def test_a_short_new_password_is_refused(watchkeeper):
    refused(watchkeeper("users", "add", "ann", environ={"WATCHKEEPER_NEW_PASSWORD": "short"}), "at least 8")


def test_keys_say_where_the_ring_should_be(watchkeeper, tmp_path):
    refused(watchkeeper("keys", "list"), str(tmp_path / "keys"))


def test_a_key_ring_that_is_open_to_others_is_refused(watchkeeper, tmp_path):
    (tmp_path / "keys").write_text("root:x\n")
    (tmp_path / "keys").chmod(0o644)
    refused(watchkeeper("keys", "list"), "chmod 600")


def test_the_doctor_finds_what_is_wrong(watchkeeper, tmp_path):
    tmp_path.chmod(0o755)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = watchkeeper("doctor", "--http", f"127.0.0.1:{taken.getsockname()[1]}")
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    assert any("chmod 700" in line for line in wrong)
    assert any("WATCHKEEPER_HTTP" in line for line in wrong)


def test_a_foreign_distribution_called_supervisor_is_named(monkeypatch):
    monkeypatch.setattr(clash, "packages_distributions", lambda: {"supervisor": ["watchkeeper", "supervisor"]})
    assert clash.clashing() == "supervisor"
    with pytest.raises(Refused, match="pip uninstall supervisor"):
        clash.refuse_clash()


STOP = "/api/engines/emergency-stop"
VERIFIED = {
    "stop_id": "s1", "scope": "all", "level": "FLATTEN", "epoch": 1, "drill": False, "durable": True, "results": [],
    "state": "verified",
}  # fmt: skip
AWAY = {"error": "error_unavailable", "reason": "the database does not answer"}
LATE = {"error": "error_token_expired", "reason": "the token has expired"}


@contextlib.contextmanager
def platform_that_answers(answers):
    """A platform of a few fixed answers, by path; ``asked`` has the path and the token of every request."""
    asked = []

    class Web(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            asked.append((self.path, self.headers["authorization"]))
            status, body = answers[self.path].pop(0)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_session_past_its_end_stops_while_the_database_is_away_and_nobody_can_sign_in(watchkeeper, tmp_path):
    with platform_that_answers({STOP: [(200, VERIFIED)]}) as (url, asked):
        SessionFile(tmp_path, url, "admin").save(Session(token="old", expires=time.time() - 3600, cookie="c=1"))
        done = watchkeeper("stop", "--yes", "--url", url)
    assert (done.returncode, asked) == (0, [(STOP, "Bearer old")])


def test_a_session_past_its_end_is_renewed_while_the_database_is_there(watchkeeper, tmp_path):
    fresh = {"access_token": "new", "expires_in": 900}
    with platform_that_answers({STOP: [(401, LATE), (200, VERIFIED)], "/api/auth/refresh": [(200, fresh)]}) as (
        url,
        asked,
    ):
        SessionFile(tmp_path, url, "admin").save(Session(token="old", expires=time.time() - 3600, cookie="c=1"))
        assert watchkeeper("stop", "--yes", "--url", url).returncode == 0
    assert asked == [(STOP, "Bearer old"), ("/api/auth/refresh", None), (STOP, "Bearer new")]


@pytest.mark.parametrize("session", [None, Session(token="old", expires=0.0, cookie="c=1")])
def test_who_cannot_be_signed_in_has_stopped_nothing_and_is_told_the_other_ways(watchkeeper, tmp_path, session):
    away = [(503, AWAY)]
    answers = {STOP: [(401, LATE)], "/api/auth/refresh": away, "/api/auth/login": away}
    with platform_that_answers(answers) as (url, _asked):
        if session is not None:
            SessionFile(tmp_path, url, "admin").save(session)
        done = watchkeeper("stop", "--yes", "--url", url, environ={"WATCHKEEPER_PASSWORD": "x"})
    refused(
        done, "the database does not answer [error_unavailable]: nothing was stopped; on the platform's own machine"
    )
    assert "watchkeeper stop --local" in done.stderr


def test_a_session_that_cannot_be_kept_keeps_nobody_from_stopping(watchkeeper, tmp_path):
    (tmp_path / "sessions").touch()  # as good as a full disk
    fresh = {"access_token": "new", "expires_in": 900}
    with platform_that_answers({STOP: [(200, VERIFIED)], "/api/auth/login": [(200, fresh)]}) as (url, _asked):
        done = watchkeeper("stop", "--yes", "--url", url, environ={"WATCHKEEPER_PASSWORD": "x"})
    assert done.returncode == 0
    assert "the session is not kept" in done.stderr


def test_a_stop_that_was_sent_and_not_answered_is_not_said_to_be_refused(watchkeeper, tmp_path):
    """Whoever took it may be stopping everything now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url, heard = f"http://127.0.0.1:{server.getsockname()[1]}", []

        def hear():
            peer, _ = server.accept()
            with peer:
                heard.append(peer.recv(65536))

        listener = threading.Thread(target=hear, daemon=True)
        listener.start()
        SessionFile(tmp_path, url, "admin").save(Session(token="t", expires=time.time() + 600))
        done = watchkeeper("stop", "--yes", "--url", url)
        listener.join(60)
    assert heard[0].startswith(b"POST /api/engines/emergency-stop ")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert "whether the stop was taken is not known" in line
    assert "watchkeeper stop --local" in line
