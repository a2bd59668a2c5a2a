"""Stops into real faults, in a program of its own (`python -m tests.faults`), whose table is shown here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.database
ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, seconds, program="tests.faults"):
    """The program's output; it ends by itself what it started, also when its time is over."""
    process = subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        said, _ = process.communicate(timeout=60)
        raise AssertionError(f"not within {seconds} s:\n{said}") from None
    return process.returncode, said


def test_a_stop_beside_a_frozen_database():
    code, said = run("--engines", "1", "--rounds", "1", "--spare", "3", "database frozen", seconds=600)
    assert code == 0, said
    assert "| database frozen | 1 |" in said


@pytest.mark.deep
def test_every_fault_a_hundred_times(capsys):
    """WATCHKEEPER_FAULT_ROUNDS sets another number of rounds."""
    code, said = run(seconds=6 * 3600)
    with capsys.disabled():
        print(f"\n{said}")
    assert code == 0, said


@pytest.mark.deep
def test_an_hour_of_trading_grows_nothing(capsys):
    """WATCHKEEPER_SOAK_MINUTES sets another length."""
    minutes = os.environ.get("WATCHKEEPER_SOAK_MINUTES", "60")
    code, said = run("--minutes", minutes, seconds=60 * float(minutes) + 900, program="tests.faults.soak")
    with capsys.disabled():
        print(f"\n{said}")
    assert code == 0, said
