"""What the endpoints and the actors of one platform share. Made once, by `platform`; nothing is global."""

import attrs

from actors.board import Board
from actors.config import PlatformSettings
from actors.fleet.enrolled import EnrolledEngines
from actors.live.hub import Hub
from actors.platform.degraded import DegradedParts
from actors.web.refusals import Refusals
from actors.web.sessions import Denied
from store.database import Database
from store.keyring import KeyRing
from supervisor.system import System
from wire.rest.stops import Stop
from wire.rest.strategies import UpdateResult
from wire.tokens import TokenKeys


@attrs.frozen(kw_only=True, eq=False)
class Services:
    """``system`` finds the actors by the ids of ``actors.requests``; ``stops`` and ``updates`` are their read models.

    ``enrolled`` answers which engines there are, and checks their secrets, while the database is away too.
    """

    settings: PlatformSettings
    db: Database
    keyring: KeyRing
    tokens: TokenKeys
    system: System
    hub: Hub = attrs.field(factory=Hub)
    stops: Board[Stop] = attrs.field(factory=Board)
    updates: Board[UpdateResult] = attrs.field(factory=Board)
    degraded: DegradedParts = attrs.field(factory=DegradedParts)
    denied: Denied = attrs.field(factory=Denied)
    refusals: Refusals = attrs.field(factory=Refusals)
    enrolled: EnrolledEngines = attrs.field(factory=EnrolledEngines)
