"""The procedure that ends a stop: a checklist, a person who asks, another who approves. Pure.

Stopping needs one person and nothing else; releasing is the guarded direction. A desk with only one person who may
release approves itself by a second call at least 60 s after the first. Nothing is ever released by a timer, and a raise
or a new matching stop voids whatever was asked before it.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta

import attrs

from actors.requests import Principal, Refusal
from actors.stops.cases import Case
from actors.stops.parts import Instant
from actors.stops.run import Run, named
from wire.rest.access import Role
from wire.rest.releases import ChecklistItem, ReleaseRequest, ReleaseState, Waiver
from wire.stops import Entry, Scope, ScopeKind

COOLING_OFF_SECONDS = 60.0
ENDED_REMEMBERED = 1000

Synced = Callable[[str], bool | None]
"""Whether an engine's own books agree with its broker; None: not known."""
Versions = Callable[[str], Mapping[str, int]]
"""The version of the parameters that are in force in an engine, by strategy; of an engine that never told none."""


def no_versions(_engine_id: str) -> Mapping[str, int]:
    return {}


class ReleaseDesk:
    """The requests that wait for a decision, at most one for each stop, and how the last ones ended."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._cases: dict[str, Case] = {}
        self._ended: OrderedDict[str, Case] = OrderedDict()

    def waiting(self, stop_id: str) -> Case | None:
        return self._cases.get(stop_id)

    def ended(self, stop_id: str) -> Case | None:
        """How the last request for this stop ended, while that is remembered here."""
        return self._ended.get(stop_id)

    def put_back(self, case: Case) -> None:
        """It was asked of an earlier platform and waits on."""
        self._cases[case.stop_id] = case

    def request(
        self,
        run: Run | None,
        entry: Entry | None,
        request: ReleaseRequest,
        who: Principal,
        desk: Iterable[str],
        synced: Synced,
        now: Instant,
        *,
        seen_epoch: int = 0,
        unreduced: Collection[str] = (),
        versions: Versions = no_versions,
    ) -> Case | Refusal:
        """``desk``: the ids of all enabled users who may release. The same person asking the same again waits on.
        ``seen_epoch``: the register's highest one at this moment; ``unreduced``: engines that cannot keep to reduced
        limits."""
        refusal = refuse_release(run, entry, request.epoch, who)
        if refusal is not None or run is None:
            return refusal or _unknown()
        if stray := [w.engine_id for w in request.waive if w.engine_id not in run.parts]:
            reason = f"this stop does not concern {named(stray)}"
            return Refusal(status=422, error="error_unknown_engine", reason=reason, field="waive")
        if twice := [name for name, times in Counter(w.engine_id for w in request.waive).items() if times > 1]:
            return Refusal(
                status=422, error="error_invalid_field", reason=f"waived more than once: {named(twice)}", field="waive"
            )
        if mute := [f"waive[{n}].reason" for n, w in enumerate(request.waive) if not _says(w.reason)]:
            return Refusal(status=422, error="error_invalid_field", reason="must not be empty", field=mute[0])
        if request.reduced is not None and (unable := _unwaived(unreduced, run, request.waive)):
            return refuse_reduced(unable)
        items = checklist(run, request.waive, request.reason, synced, versions)
        if (failed := failing(items)) is not None:
            return failed
        fresh = Case(
            id=self._new_id(),
            stop_id=run.stop_id,
            state=ReleaseState.REQUESTED,
            epoch=run.epoch,
            seen_epoch=seen_epoch,
            requested_by=who.user_id,
            requested_at=now,
            not_before=now.wall + timedelta(seconds=COOLING_OFF_SECONDS) if set(desk) <= {who.user_id} else None,
            reason=request.reason,
            resume=request.resume,
            reduced=request.reduced,
            waive=list(request.waive),
            checklist=items,
        ).stepped(ReleaseState.REQUESTED, now.wall, who, request.reason)
        known = self._cases.get(run.stop_id)
        if known is not None and known.asks_the_same_as(fresh):
            return known
        self._cases[run.stop_id] = fresh
        return fresh

    def approve(
        self,
        run: Run | None,
        entry: Entry | None,
        epoch: int,
        who: Principal,
        desk: Iterable[str],
        synced: Synced,
        now: Instant,
        *,
        release_id: str | None = None,
        versions: Versions = no_versions,
    ) -> Case | Refusal:
        """The case may now be carried out. It stays where it is until ``done`` or ``void_touched``. ``release_id``:
        which request the person has looked at."""
        refusal = refuse_release(run, entry, epoch, who)
        if refusal is not None or run is None:
            return refusal or _unknown()
        case = self._cases.get(run.stop_id)
        if case is None or case.epoch != run.epoch:
            return Refusal(
                status=409, error="error_no_release_requested", reason="no valid request waits for this stop"
            )
        if release_id is not None and release_id != case.id:
            reason = "another request waits for this stop than the one you looked at"
            return Refusal(status=412, error="error_release_changed", reason=reason, field="release_id")
        refusal = _second_person(case, who, set(desk), now)
        items = checklist(run, case.waive, case.reason, synced, versions)
        refusal = refusal or failing(items)
        return refusal or attrs.evolve(case, checklist=items).stepped(ReleaseState.APPROVED, now.wall, who)

    def done(self, case: Case) -> None:
        """It has come to its end; another request that took its place waits on."""
        waiting = self._cases.get(case.stop_id)
        if waiting is not None and waiting.id == case.id:
            del self._cases[case.stop_id]
        self._ended[case.stop_id] = case
        self._ended.move_to_end(case.stop_id)
        while len(self._ended) > ENDED_REMEMBERED:
            self._ended.popitem(last=False)

    def void_touched(self, run: Run, runs: Callable[[str], Run | None], now: Instant) -> list[Case]:
        """A stop was taken or raised: every request about a stop that could hold the same engine is worth nothing."""
        hit = [c for c in self._cases.values() if (other := runs(c.stop_id)) is None or touches(run, other)]
        void = [c.ended(now, f"{run.stop_id} was taken or raised") for c in hit]
        for case in void:
            self.done(case)
        return void


def touches(one: Run, other: Run) -> bool:
    """Whether two stops could hold the same engine."""
    wide = (ScopeKind.ALL, ScopeKind.SYMBOL)
    if one.scope == other.scope or one.scope.kind in wide or other.scope.kind in wide:
        return True
    return not one.parts.keys().isdisjoint(other.parts) or _same_engine(one.scope, other.scope)


def checklist(
    run: Run, waive: Iterable[Waiver], reason: str, synced: Synced, versions: Versions = no_versions
) -> list[ChecklistItem]:
    """What must be true before the stop may end, and with which parameters trading would go on."""
    waived = {w.engine_id for w in waive}
    rest = [p for p in run.parts.values() if p.engine_id not in waived]
    open_parts = [p.engine_id for p in rest if not p.is_verified]
    unsure = [p.engine_id for p in rest if p.is_verified and synced(p.engine_id) is not True]
    return [
        ChecklistItem(
            name="engines_verified",
            ok=not open_parts,
            detail=f"not verified: {named(open_parts)}"
            if open_parts
            else f"{len(rest)} verified, {len(waived)} waived",
        ),
        ChecklistItem(
            name="reconciled",
            ok=not unsure,
            detail=f"books not reconciled with the broker: {named(unsure)}" if unsure else "all unwaived engines",
        ),
        ChecklistItem(
            name="cause_noted", ok=_says(reason), detail=reason.strip() if _says(reason) else "no reason was given"
        ),
        ChecklistItem(name="parameters", ok=True, detail=_in_force([p.engine_id for p in rest], run.scope, versions)),
    ]


def _says(reason: str) -> bool:
    """Whether there is anything to be read in it."""
    return any(char.isprintable() and not char.isspace() for char in reason)


def _in_force(engine_ids: Iterable[str], scope: Scope, versions: Versions) -> str:
    """``alpha/ma v3, …``: nothing holds the release here, the person sees what will run."""
    only = scope.name if scope.kind is ScopeKind.STRATEGY else None
    told = [f"{e}/{s} v{version}" for e in engine_ids for s, version in versions(e).items() if only in (None, s)]
    return named(told) or "–"


def failing(items: Iterable[ChecklistItem]) -> Refusal | None:
    bad = [i for i in items if not i.ok]
    if not bad:
        return None
    return Refusal(status=409, error="error_checklist", reason="; ".join(f"{i.name}: {i.detail}" for i in bad)[:2000])


def refuse_release(run: Run | None, entry: Entry | None, epoch: int, who: Principal) -> Refusal | None:
    """What is wrong before anybody looks at engines."""
    if not who.role.may(Role.RISK):
        return Refusal(status=403, error="error_forbidden", reason="a release needs the risk role")
    if entry is not None and not entry.is_open:
        return Refusal(status=409, error="error_already_released", reason="this stop is not open any more")
    if run is None or entry is None:
        return _unknown()
    if epoch != run.epoch:
        reason = f"the stop is at epoch {run.epoch} now: it was raised since you looked"
        return Refusal(status=412, error="error_epoch", reason=reason, field="epoch")
    return None


def _unwaived(engine_ids: Collection[str], run: Run, waive: Iterable[Waiver]) -> list[str]:
    waived = {w.engine_id for w in waive}
    return [e for e in run.parts if e in engine_ids and e not in waived]


def refuse_reduced(engine_ids: Iterable[str]) -> Refusal:
    reason = f"reduced limits are not known to {named(engine_ids)}: waive them, or release without"
    return Refusal(status=409, error="error_unsupported", reason=reason, field="reduced")


def _second_person(case: Case, who: Principal, desk: set[str], now: Instant) -> Refusal | None:
    if who.user_id != case.requested_by:
        return None
    if not desk <= {who.user_id}:
        reason = "another person with the risk role has to approve"
        return Refusal(status=403, error="error_second_person_required", reason=reason)
    left = cooling_off(case, now)
    if left > 0:
        return Refusal(status=409, error="error_too_early", reason=f"approve it yourself in {math.ceil(left)} s")
    return None


def cooling_off(case: Case, now: Instant) -> float:
    """Seconds until a desk of one may approve itself: by both clocks, whichever is later."""
    floor = case.not_before or case.requested_at.wall + timedelta(seconds=COOLING_OFF_SECONDS)
    waited = now.mono - case.requested_at.mono
    return max(COOLING_OFF_SECONDS - waited, (floor - now.wall).total_seconds())


def _same_engine(one: Scope, other: Scope) -> bool:
    engines = [s.engine or (s.name if s.kind is ScopeKind.ENGINE else None) for s in (one, other)]
    return engines[0] is not None and engines[0] == engines[1]


def _unknown() -> Refusal:
    return Refusal(status=404, error="error_unknown_stop", reason="there is no such stop")
