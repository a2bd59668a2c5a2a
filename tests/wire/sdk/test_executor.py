"""Which comparison of the books with the broker lets orders leave again: one that began after they were doubted."""

from datetime import UTC, datetime

import pytest

from wire.sdk.account import Reading
from wire.sdk.engine import Engine, Options
from wire.sdk.platform import Credential
from wire.sdk.work import Outcome


class Clock:
    at = 100.0

    def now(self):
        return self.at

    def wall(self):
        return datetime(2026, 11, 20, 1, 0, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path):
    credential = Credential(engine_id="E1", secret="s", account_id="A1", http_url="http://p", ws_url="ws://p")
    engine = Engine(credential, tmp_path, Options(name="E1", health_every=None), clock=Clock())
    engine.open()
    yield engine
    engine.close()


def begin(engine):
    """The executor's next job, under way."""
    job = engine.executor.next(engine.clock.now())
    engine.executor.busy = True
    return job


def end(engine, job, value=None):
    engine.clock.at += 1.0
    engine.executor.busy = False
    job.then(Outcome(value=value), engine.clock.now())


@pytest.mark.parametrize("handler", ["read_account", "reconcile"])
def test_a_comparison_under_way_when_the_books_were_doubted_settles_nothing(engine, handler):
    setattr(engine.handlers, handler, lambda: None)
    first = begin(engine)
    engine.orders.out_of_sync()
    end(engine, first, Reading())
    assert not engine.gate.synced
    engine.clock.at += 1.0
    end(engine, begin(engine), Reading())
    assert engine.gate.synced
