"""The commands against a platform that answers: signing in once, and exit codes that scripts can rely on."""

import json
import os
import subprocess
import sys

import pytest
import trio

from actors.config import Address
from actors.requests import WEB, ApproveRelease, ContinueStop, RequestRelease
from actors.web.server import WebServer, WhereAreYou
from supervisor.spec import ChildSpec
from wire.rest.engines import DrillStatus
from wire.rest.stops import StopState

pytestmark = pytest.mark.database


@pytest.fixture
async def watchkeeper(real, tmp_path):
    """Runs a command against the desk, as admin unless told otherwise."""
    object.__setattr__(real.services.settings, "http", Address("127.0.0.1", 0))
    web = await real.services.system.start_child("desk", ChildSpec(id=WEB, factory=lambda: WebServer(real.services)))
    address = await web.ask(WhereAreYou())

    async def run(*arguments, password="admin-password", user="admin"):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WATCHKEEPER_")}
        environment |= {
            "WATCHKEEPER_HOME": str(tmp_path),
            "WATCHKEEPER_HTTP": str(address),
            "WATCHKEEPER_USER": user,
            "WATCHKEEPER_NEW_PASSWORD": "a-new-password",
            **({"WATCHKEEPER_PASSWORD": password} if password else {}),
        }

        def command():
            return subprocess.run(
                [sys.executable, "-m", "actors", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
            )

        return await trio.to_thread.run_sync(command)

    return run


async def test_the_password_is_needed_once_and_the_session_is_kept_private(watchkeeper, tmp_path):
    assert (await watchkeeper("users", "list")).returncode == 0
    [kept] = (tmp_path / "sessions").iterdir()
    assert kept.stat().st_mode & 0o077 == 0
    assert "admin-password" not in kept.read_text()
    again = await watchkeeper("users", "list", password=None)
    assert again.returncode == 0
    assert "operator" in again.stdout


async def test_a_session_that_has_ended_is_replaced_by_the_cookie(watchkeeper, real, tmp_path):
    assert (await watchkeeper("users", "list")).returncode == 0
    [kept] = (tmp_path / "sessions").iterdir()
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "token": "gone", "expires": 0}))
    assert (await watchkeeper("users", "list", password=None)).returncode == 0


async def test_a_wrong_password_is_refused_in_one_line(watchkeeper):
    done = await watchkeeper("users", "list", password="wrong-password")
    assert done.returncode == 3
    assert done.stderr == "watchkeeper: the name, the password or the code is wrong [error_bad_credentials]\n"


async def test_a_stop_exits_0_only_when_everything_is_verified(watchkeeper, real):
    done = await watchkeeper("stop", "--yes", "--reason", "drill")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "stop s1: all FLATTEN, epoch 7, verified")
    real.stop_state = StopState.PARTIAL
    assert (await watchkeeper("stop", "--yes")).returncode == 1
    refused = await watchkeeper("stop", "--yes", "--scope", "engine:unknown")
    assert refused.returncode == 3
    assert "there is no such engine (scope) [error_unknown_engine]" in refused.stderr


async def test_a_drill_is_a_halt_with_a_label(watchkeeper, real):
    done = await watchkeeper("stop", "--yes", "--drill")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "drill s1: all HALT, epoch 7, verified")


async def test_a_stop_is_continued_by_a_person_and_watched_to_its_end(watchkeeper, real, kit):
    real.services.stops.put("s1", kit.stop_of(state=StopState.PARTIAL))
    done = await watchkeeper("stop", "--continue", "s1", "--yes")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "stop s1: all FLATTEN, epoch 7, verified")
    assert [m.stop_id for m in real.asked if isinstance(m, ContinueStop)] == ["s1"]
    real.stop_state = StopState.FAILED
    assert (await watchkeeper("stop", "--continue", "s1", "--yes")).returncode == 1
    unknown = await watchkeeper("stop", "--continue", "s9", "--yes")
    assert (unknown.returncode, "error_not_found" in unknown.stderr) == (3, True)
    narrowed = await watchkeeper("stop", "--continue", "s1", "--scope", "engine:E1", "--yes")
    assert (narrowed.returncode, "as it was asked for" in narrowed.stderr) == (3, True)
    nobody = await watchkeeper("stop", "--continue", "s1")
    assert (nobody.returncode, "add --yes" in nobody.stderr) == (3, True)


async def test_a_viewer_may_not_stop(watchkeeper):
    done = await watchkeeper("stop", "--yes", user="viewer", password="viewer-password")
    assert done.returncode == 3
    assert "error_forbidden" in done.stderr


async def test_a_release_is_asked_for_and_then_approved(watchkeeper, real, kit):
    real.services.stops.put("s1", kit.stop_of())
    asked = await watchkeeper("release", "s1", "--reason", "all is well")
    assert asked.returncode == 1
    assert "watchkeeper release s1 --approve" in asked.stdout
    shown = await watchkeeper("release", "s1")
    assert (shown.returncode, "release asked for by u-risk" in shown.stdout) == (1, True)
    approved = await watchkeeper("release", "s1", "--approve")
    assert approved.returncode == 0
    told = approved.stdout.splitlines()
    assert told[0] == "stop s1: all FLATTEN, by u-operator: no reason given"
    assert told[1].startswith("release asked for by u-risk")  # what is approved is shown before
    assert told[-1] == "release of s1: released"
    assert [m.release_id for m in real.asked if isinstance(m, ApproveRelease)] == ["rel1"]
    assert (await watchkeeper("release", "s9", "--approve")).returncode == 3


async def test_a_release_may_begin_with_small_orders(watchkeeper, real, kit):
    real.services.stops.put("s1", kit.stop_of())
    await watchkeeper("release", "s1", "--reason", "all is well", "--resume", "--reduced", "15:1000000")
    [asked] = [m.request for m in real.asked if isinstance(m, RequestRelease)]
    assert (asked.resume, asked.reduced.minutes, asked.reduced.max_order_value) == (True, 15, 1_000_000)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--reason", "x", "--reduced", "15"],
        ["--approve", "--reason", "x"],
        ["--approve", "--resume"],
        ["--waive", "E1=gone"],
    ],
)
async def test_a_release_is_either_asked_for_or_approved(watchkeeper, wrong):
    assert (await watchkeeper("release", "s1", *wrong)).returncode == 3


async def test_a_strategy_is_paused_and_goes_on(watchkeeper):
    paused = await watchkeeper("strategies", "pause", "E1", "ma")
    assert (paused.returncode, paused.stdout) == (0, "E1/ma is paused\n")
    resumed = await watchkeeper("strategies", "resume", "E1", "ma", "--reason", "the feed is back")
    assert (resumed.returncode, resumed.stdout) == (0, "E1/ma is active\n")
    assert (await watchkeeper("strategies", "resume", "E1", "ma")).returncode == 2
    why = ("--reason", "carefully", "--reduced")
    assert (await watchkeeper("strategies", "resume", "E1", "ma", *why, "15:1000000")).returncode == 0
    wrong = await watchkeeper("strategies", "resume", "E1", "ma", *why, "much")
    assert (wrong.returncode, "MINUTES:WON" in wrong.stderr) == (3, True)
    assert (await watchkeeper("strategies", "pause", "E9", "ma")).returncode == 3
    assert (await watchkeeper("strategies", "list")).stdout.startswith("engine  link  strategy")


async def test_an_engine_is_added_with_its_credential_file_rotated_and_removed(watchkeeper, tmp_path):
    file, other = tmp_path / "alpha.json", tmp_path / "alpha2.json"
    added = await watchkeeper("engines", "add", "Alpha", "--account", "A-9", "--id", "alpha", "-o", str(file))
    assert added.returncode == 0
    credential = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(credential) == {"platform_url", "engine_id", "account_id", "secret", "private_key"}
    assert credential["secret"] not in added.stdout + added.stderr
    rotated = await watchkeeper("engines", "rotate", "alpha", "-o", str(other))
    assert rotated.returncode == 0
    assert json.loads(other.read_text())["secret"] != credential["secret"]
    assert "alpha" in (await watchkeeper("engines", "list")).stdout
    assert (await watchkeeper("engines", "remove", "alpha")).returncode == 0
    assert "alpha" not in (await watchkeeper("engines", "list")).stdout


async def test_a_second_engine_of_an_account_leaves_no_file_behind(watchkeeper, tmp_path):
    file = tmp_path / "twice.json"
    done = await watchkeeper("engines", "add", "Twice", "--account", "A-E1", "-o", str(file))
    assert done.returncode == 3
    assert "error_account_in_use" in done.stderr
    assert not file.exists()


async def test_users_are_added_changed_and_disabled(watchkeeper):
    assert (await watchkeeper("users", "add", "ann", "--role", "operator")).returncode == 0
    assert (await watchkeeper("status", user="ann", password="a-new-password")).returncode in (0, 1)
    assert (await watchkeeper("users", "role", "ann", "viewer")).returncode == 0
    assert (await watchkeeper("users", "passwd", "ann")).returncode == 0
    assert (await watchkeeper("users", "disable", "ann")).returncode == 0
    assert (await watchkeeper("status", user="ann", password="a-new-password")).returncode == 3
    assert (await watchkeeper("users", "disable", "nobody")).returncode == 3


async def test_the_audit_log_is_verified_and_a_broken_one_fails(watchkeeper, real):
    assert (await watchkeeper("audit", "verify")).stdout.startswith("the audit log holds: 1 entries")
    await real.db.run(_forge)
    broken = await watchkeeper("audit", "verify")
    assert broken.returncode == 1
    assert "broken at entry 1" in broken.stderr


async def _forge(conn):
    await conn.execute("update audit set action = 'nothing' where seq = 1")


async def test_status_and_logs_show_what_there_is(watchkeeper, real, kit):
    status = await watchkeeper("status")
    assert status.returncode == 0
    assert status.stdout.startswith("engine  link  mode")
    real.drill = DrillStatus(last_at=None, stop_id=None, due_at=None, overdue=True)
    real.services.stops.put("s1", kit.stop_of(username="kim", reason="fire"))
    status = await watchkeeper("status")
    assert status.returncode == 0
    assert status.stdout.splitlines()[:2] == [
        "open stop s1: all FLATTEN, verified, by kim: fire",
        "a drill is overdue: there never was one; watchkeeper stop --drill",
    ]
    real.services.degraded.report("audit", "slow")
    assert (await watchkeeper("status")).returncode == 1
    logs = await watchkeeper("logs", "-n", "5")
    assert (logs.returncode, logs.stdout) == (0, "")
    unknown = await watchkeeper("logs", "--engine", "nobody")
    assert (unknown.returncode, unknown.stderr) == (3, "watchkeeper: there is no engine nobody; there are: none\n")
