"""The audit log, for the risk role: page by page, and whether its chain still holds."""

from typing import Annotated

from actors.web.answers import listing
from actors.web.table import PAGING, Answer, Call, Route
from store import audit
from store.audit import AuditEntry, CheckpointFile
from wire.rest.access import Role
from wire.schema import C, message
from wire.values import Count, Text

CHECKPOINT = "audit.checkpoint"
"""The file in the home folder with the last signed head of the chain."""


@message
class AuditVerdict:
    """``broken_at``: the first entry that is not what was written, or is missing."""

    ok: bool
    entries: Count
    head: Annotated[str, C(max_length=64)]
    checkpoint: Count | None
    broken_at: Count | None
    reason: Text | None


def checkpoint_file(call: Call) -> CheckpointFile:
    """The platform's checkpoint of the chain."""
    return CheckpointFile(call.services.settings.home / CHECKPOINT, call.services.keyring.derive("audit checkpoint"))


async def entries(call: Call) -> Answer:
    after, limit = call.page()
    return listing(await call.services.db.run(audit.page, after, limit))


async def verify(call: Call) -> Answer:
    checkpoint = checkpoint_file(call).load()
    found = await call.services.db.run(audit.verify, checkpoint)
    return Answer(
        value=AuditVerdict(
            ok=found.ok,
            entries=found.entries,
            head=found.head.hash.hex(),
            checkpoint=checkpoint.seq if checkpoint else None,
            broken_at=found.broken_at,
            reason=found.reason,
        )
    )


ROUTES = (
    Route(
        method="GET",
        path="/api/audit",
        handler=entries,
        doc="Who did what.",
        role=Role.RISK,
        answer=list[AuditEntry],
        query=PAGING,
        csv=True,
    ),
    Route(
        method="GET",
        path="/api/audit/verify",
        handler=verify,
        doc="Check the whole chain against its keys and the last checkpoint.",
        role=Role.RISK,
        answer=AuditVerdict,
    ),
)
