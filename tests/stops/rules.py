"""The rules of a stop, each with the way to leave it out and the shortest history that then goes wrong.

Some rules are steps that actors take in an order: those are left out by their name in the small world. The others are
lines of one class: those are left out by a patch of that class.
"""

from contextlib import contextmanager

import attrs
import pytest

import store.start
from actors.stops.book import StopBook
from actors.stops.ledger import StopLedger
from tests.stops import ground
from tests.stops.platform import Platform
from wire.outbox import Outbox
from wire.sdk.halting import Halting
from wire.sdk.latch import Latch
from wire.session import EngineSession, LeaseGranted
from wire.stops import Entry, Register


@attrs.frozen
class Rule:
    """``profile``: where the search finds it, from ``root`` on; ``history``: a short one; ``patch``: of classes, else
    of the world, or of ``both``."""

    profile: str
    history: str
    patch: object = None
    both: bool = False
    root: tuple = ()

    @property
    def steps(self):
        return tuple(step.strip() for step in self.history.split(","))


def _only_the_journal(patch):
    merge = ground.merge_at_start

    def wrong(journal, database, **kw):
        return merge(journal, attrs.evolve(database, register=Register(floor=database.register.floor), stops={}), **kw)

    patch.setattr(ground, "merge_at_start", wrong)


def _only_the_database(patch):
    union = store.start._union

    def wrong(written, database, *, floor):
        unwritten = attrs.evolve(written, register=Register(floor=written.register.epoch), stops={})
        return union(unwritten, database, floor=floor)

    patch.setattr(store.start, "_union", wrong)


def _entry_takes(field):
    def apply(patch):
        merge = Entry.merge

        def wrong(self, other):
            return attrs.evolve(merge(self, other), **{field: getattr(other, field)})

        patch.setattr(Entry, "merge", wrong)

    return apply


def _release_of_everything(patch):
    release, latched = Register.with_release, Latch.with_release

    def wrong(self, stop_ids, epoch):
        return release(self, list(self.entries), epoch)

    def wrong_latch(self, stop_ids, epoch):
        return latched(self, [s.record.stop_id for s in self.stops], epoch)

    patch.setattr(Register, "with_release", wrong)
    patch.setattr(Latch, "with_release", wrong_latch)


def _release_without_epoch(patch):
    release = Register.with_release

    def wrong(self, stop_ids, epoch):
        stop_ids = list(stop_ids)
        top = max([epoch, *(self.entries[i].stop_epoch for i in stop_ids if i in self.entries)])
        return release(self, stop_ids, top)

    patch.setattr(Register, "with_release", wrong)


def _what_is_not_effective_is_over(patch):
    adopt = Halting.adopt

    def wrong(self, snapshot, *, trusted):
        effective = {r.stop_id for r in snapshot.effective}
        gone = [s.record.stop_id for s in self.latch.open_stops() if s.record.stop_id not in effective]
        top = max(snapshot.epoch, self.latch.register().epoch)
        return adopt(self, attrs.evolve(snapshot, released=gone, epoch=top), trusted=trusted)

    patch.setattr(Halting, "adopt", wrong)


def _epochs_of_open_stops_only(patch):
    def wrong(self):
        return max([0, *(e.stop_epoch for e in self.entries.values() if e.is_open)])

    patch.setattr(Register, "epoch", property(wrong))


def _every_proof_is_good(patch):
    patch.setattr(ground, "is_ours", lambda _record: True)


def _no_proof_is_good(patch):
    patch.setattr(ground, "is_ours", lambda _record: False)


def _releases_of_the_database_count(patch):
    patch.setattr(store.start, "_settled_floor", lambda _journal, _findings: None)
    union = store.start._union

    def wrong(written, database, *, floor):
        merged = union(written, database, floor=floor)
        for stop_id, entry in database.register.entries.items():
            if entry.released_epoch is not None:
                register = merged.register.with_release([stop_id], entry.released_epoch)
                merged = attrs.evolve(merged, register=register)
        return merged

    patch.setattr(store.start, "_union", wrong)


def _a_lost_journal_is_a_new_one(patch):
    patch.setattr(store.start, "_findings", lambda _journal, _database: [])


def _an_old_journal_is_believed(patch):
    findings = store.start._findings

    def wrong(journal, database):
        return [f for f in findings(journal, database) if "older" not in f]

    patch.setattr(store.start, "_findings", wrong)


def _links_are_not_told(patch):
    patch.setattr(Platform, "tell_stop", lambda _self, _effect: None)


def _a_returning_engine_is_told_nothing(patch):
    snapshot = StopLedger.snapshot

    def wrong(self, engine_id, held):
        return attrs.evolve(snapshot(self, engine_id, held), effective=[])

    patch.setattr(StopLedger, "snapshot", wrong)
    patch.setattr(StopBook, "_catch_up", lambda *_args: [])


def _a_stop_is_not_sent_again_to_a_link_that_comes_up(patch):
    patch.setattr(StopBook, "_catch_up", lambda *_args: [])


def _any_frame_gives_a_lease(patch):
    def wrong(self, sent_at, lease_ms, _stop_epoch):
        self.lease_expires_at = sent_at + lease_ms / 1000
        return [LeaseGranted(expires_at=self.lease_expires_at)]

    patch.setattr(EngineSession, "_lease", wrong)


def _a_lease_counts_from_its_arrival(patch):
    lease = EngineSession._lease

    def wrong(self, _sent_at, lease_ms, stop_epoch):
        return lease(self, self.last_heard or 0.0, lease_ms, stop_epoch)

    patch.setattr(EngineSession, "_lease", wrong)


def _a_waived_engine_is_free(patch):
    plan = StopBook.plan_release

    def wrong(self, stop_id, waived, **kw):
        made = plan(self, stop_id, waived, **kw)
        return attrs.evolve(made, kept=[])

    patch.setattr(StopBook, "plan_release", wrong)


def _a_waived_engine_keeps_what_it_has(patch):
    left_with = StopBook._left_with

    def wrong(self, engine_id, *args):
        made = left_with(self, engine_id, *args)
        run = self.runs.get(made.stop_id)
        return made if run is None else attrs.evolve(made, entry=self.register.entries[run.stop_id])

    patch.setattr(StopBook, "_left_with", wrong)


def _a_stop_that_is_left_again_stays_as_it_was_decided(patch):
    keep = StopBook._keep

    def wrong(self, kept, now):
        return None if kept.stop_id in self.register.entries else keep(self, kept, now)

    patch.setattr(StopBook, "_keep", wrong)


def _outboxes_keep_released_stops(patch):
    patch.setattr(Outbox, "revise", lambda _self, _now_true: None)
    patch.setattr(Outbox, "_withdraw_stops", lambda _self, _release: None)


def _an_offline_outbox_keeps_released_stops(patch):
    patch.setattr(Outbox, "revise", lambda _self, _now_true: None)


def _local_stops_are_noted_only(patch):
    patch.setattr(StopBook, "local_stop", lambda *_args: [])


RULES = {
    "the start takes the database's stops": Rule(
        "copies",
        "stop all HALT P, base_writes P, restart",
        _only_the_journal,
    ),
    "the start takes the journal's stops": Rule(
        "copies",
        "stop all HALT P, journal P, restart",
        _only_the_database,
    ),
    "copies merge to the maximum of levels": Rule(
        "copies",
        "stop all HALT P, join E1 P, cut E1, stop all FLATTEN P, join E1 P",
        _entry_takes("level"),
    ),
    "copies merge to the maximum of epochs": Rule(
        "copies",
        "stop all HALT P, base_writes P, stop all FLATTEN P, journal P, restart",
        _entry_takes("stop_epoch"),
    ),
    "copies merge to the union of releases": Rule(
        "decisions",
        "stop all HALT P, join E1 P, cut E1, release s1 P, join E1 P",
        _entry_takes("released_epoch"),
    ),
    "a release ends only what it names": Rule(
        "decisions",
        "stop all HALT P, stop engine:E1 HALT P, release s1 P",
        _release_of_everything,
    ),
    "a release ends only what was open at its epoch": Rule(
        "copies",
        "stop all HALT P, ask_release s1 P, seal P, stop all FLATTEN P, finish P",
        _release_without_epoch,
    ),
    "an engine drops a stop only when a release names it": Rule(
        "frames",
        "join E1 P, wait 5, up E1, halt_itself E1, down E1 1",
        _what_is_not_effective_is_over,
    ),
    "epochs rise above everything in a copy": Rule(
        "decisions",
        "stop all HALT P, release s1 P, stop all HALT P",
        _epochs_of_open_stops_only,
    ),
    "an unknown stop is opened again": Rule(
        "copies",
        "stop all HALT P, join E1 P, restart, join E1 P",
    ),
    "without a proof a stop covers its engine only": Rule(
        "engines' own words",
        "lie E1",
        _every_proof_is_good,
    ),
    "with a proof a stop comes back whole": Rule(
        "copies",
        "stop all HALT P, join E1 P, restart, join E1 P",
        _no_proof_is_good,
    ),
    "only a verified journal's releases count": Rule(
        "copies",
        "lose_journal, base_writes P, ask_release s1 P, restart",
        _releases_of_the_database_count,
    ),
    "a lost journal halts everything": Rule(
        "copies",
        "stop all HALT P, journal P, lose_journal",
        _a_lost_journal_is_a_new_one,
    ),
    "a journal older than the database is lost": Rule(
        "decisions",
        "stop engine:E1 HALT P, base_writes P, restart",
        _an_old_journal_is_believed,
    ),
    "a stop is sent before anything is written": Rule(
        "decisions",
        "join E1 P, stop all HALT P",
    ),
    "a stop is told to every link at once": Rule(
        "decisions",
        "join E1 P, stop all HALT P",
        _links_are_not_told,
    ),
    "a returning engine is told its stops": Rule(
        "frames",
        "join E1 P, cut E1, stop all HALT P, dial E1 P, up E1, greet E1, down E1 1",
        _a_returning_engine_is_told_nothing,
    ),
    "a heartbeat is answered with the stops": Rule(
        "frames",
        "join E1 P, stop_unsent all HALT, wait 5, up E1, down E1 1",
    ),
    "a link registers before its snapshot is read": Rule(
        "frames",
        "join E1 P, cut E1, dial E1 P, up E1, stop all HALT P, greet E1, down E1 1",
        _a_stop_is_not_sent_again_to_a_link_that_comes_up,
        both=True,
    ),
    "the latch is written before the ack": Rule(
        "frames",
        "join E1 P, stop all HALT P, down E1 1",
    ),
    "an engine boots halted": Rule(
        "frames",
        "stop all HALT P, wait 15, reboot E1",
    ),
    "a stop is applied before its lease": Rule(
        "frames",
        "join E1 P, stop_unsent all HALT, wait 5, up E1, down E1 1",
    ),
    "a frame of a lower epoch gives no lease": Rule(
        "copies",
        "stop all HALT P, release s1 P, join E1 P, lose_both, join E1 P",
        _any_frame_gives_a_lease,
    ),
    "a lease counts from when it was asked for": Rule(
        "frames",
        "join E1 P, wait 5, up E1, stop all HALT P, wait 5, down E1 1, wait 10",
        _a_lease_counts_from_its_arrival,
    ),
    "a twin gets no lease": Rule(
        "twins",
        "join E1 P, wait 10, join E1' P",
    ),
    "a new platform guards the places of the old": Rule(
        "twins",
        "join E1 P, restart, join E1' P",
    ),
    "a release is in the database before the journal": Rule(
        "copies",
        "stop all HALT P, journal P, ask_release s1 P, base_fails, seal P, restart",
    ),
    "a release reaches memory after the journal": Rule(
        "copies",
        "stop all HALT P, ask_release s1 P, seal P",
    ),
    "a release writes its stop into the journal first": Rule(
        "copies",
        "stop all HALT P, join E1 P, lose_journal, join E1 P, ask_release s1 P, restart",
    ),
    "a release that was not sealed is taken back above it": Rule(
        "copies",
        "release s1 P, talk E1, tear_journal, release s2 P, join E1 P",
        root=("join E1 P", "stop all FLATTEN P", "journal P"),
    ),
    "a later decision voids a release": Rule(
        "copies",
        "stop all HALT P, ask_release s1 P, stop all FLATTEN P, seal P",
    ),
    "a waived engine keeps a stop of its own": Rule(
        "engines' own words",
        "stop all HALT P, release_waiving s1 E2",
        _a_waived_engine_is_free,
    ),
    "an engine that is waived again keeps the highest level": Rule(
        "engines' own words",
        "stop all FLATTEN P, release_waiving s3 E2",
        _a_waived_engine_keeps_what_it_has,
        root=("stop all HALT P", "release_waiving s1 E2"),
    ),
    "a stop that is left again is raised in memory": Rule(
        "engines' own words",
        "stop all FLATTEN P, release_waiving s3 E2",
        _a_stop_that_is_left_again_stays_as_it_was_decided,
        root=("stop all HALT P", "release_waiving s1 E2"),
    ),
    "a released stop leaves every outbox": Rule(
        "frames",
        "dial E1 P, up E1, stop all HALT P, release s1 P, greet E1",
        _outboxes_keep_released_stops,
    ),
    "an outbox that waits is revised at the welcome": Rule(
        "frames",
        "join E1 P, stop all HALT P, cut E1, release s1 P, join E1 P",
        _an_offline_outbox_keeps_released_stops,
    ),
    "every epoch write compares the term": Rule(
        "offices",
        "stop all HALT P, usurp, release s1 P",
    ),
    "a corrupt latch halts its engine": Rule(
        "engines' own words",
        "reboot_with_corrupt_latch E1",
    ),
    "a stop of an engine's own becomes the platform's": Rule(
        "engines' own words",
        "join E1 P, halt_itself E1, talk E1",
        _local_stops_are_noted_only,
    ),
}


@contextmanager
def without(name):
    """The small world's classes with one rule left out; gives the names that the world leaves out."""
    rule = RULES[name]
    if rule.patch is None:
        yield frozenset({name})
        return
    with pytest.MonkeyPatch.context() as patch:
        rule.patch(patch)
        yield frozenset({name} if rule.both else ())
