"""A child process lives exactly as long as its actor."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import trio

from actors.demo.processes import ChildProcess
from supervisor.spec import ChildSpec, Restart
from supervisor.system import open_system

SLEEPER = "import sys, time; open(sys.argv[1], 'w').write(str(__import__('os').getpid())); time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER


def child(tmp_path, program, restart=Restart.PERMANENT, patience=10.0):
    ready = tmp_path / "pid"
    return ready, ChildSpec(
        id="sleeper",
        restart=restart,
        factory=lambda: ChildProcess(
            "sleeper",
            [sys.executable, "-c", program, str(ready)],
            log=tmp_path / "log",
            ready=ready,
            patience=patience,
        ),
    )


async def pid_in(ready, not_pid=0) -> int:
    with trio.fail_after(60):
        while True:
            if ready.exists() and (text := ready.read_text()) and int(text) != not_pid:
                return int(text)
            await trio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_the_process_runs_when_the_start_returns_and_is_gone_when_the_system_has_ended(tmp_path, caplog):
    ready, spec = child(tmp_path, SLEEPER)
    async with open_system(name="test", children=[spec]):
        pid = int(ready.read_text())
        assert alive(pid)
    assert not alive(pid)
    assert "crash" not in caplog.text


async def test_a_process_that_dies_is_started_again(tmp_path):
    ready, spec = child(tmp_path, SLEEPER)
    async with open_system(name="test", children=[spec]):
        first = await pid_in(ready)
        os.kill(first, signal.SIGKILL)
        second = await pid_in(ready, not_pid=first)
        assert alive(second)
    assert not alive(second)


async def test_a_process_that_ignores_the_stop_is_killed(tmp_path):
    ready, spec = child(tmp_path, STUBBORN, patience=0.3)
    async with open_system(name="test", children=[spec]):
        pid = await pid_in(ready)
    assert not alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the tether is Linux's")
def test_a_tethered_process_ends_when_its_parent_is_killed(tmp_path):
    ready = tmp_path / "pid"
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); time.sleep(600)",
            *[sys.executable, "-m", "actors.demo.tether", sys.executable, "-c", SLEEPER, str(ready)],
        ]
    )
    pid = trio.run(pid_in, ready)
    parent.kill()
    parent.wait()
    end = time.monotonic() + 60
    while alive(pid):
        assert time.monotonic() < end
        time.sleep(0.02)
