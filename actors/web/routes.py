"""The whole route table."""

from actors.web import (
    auditing,
    engines,
    health,
    incidents,
    login,
    parameters,
    people,
    preferences,
    records,
    stops,
    strategies,
)
from actors.web.documents import asyncapi_route, openapi_route
from actors.web.table import Route

_TABLE: tuple[Route, ...] = (
    *login.ROUTES,
    *preferences.ROUTES,
    *stops.ROUTES,
    *incidents.ROUTES,
    *parameters.ROUTES,
    *strategies.ROUTES,
    *engines.ROUTES,
    *people.ROUTES,
    *health.ROUTES,
    *records.ROUTES,
    *auditing.ROUTES,
)
_DOCUMENTED: tuple[Route, ...] = (*_TABLE, asyncapi_route())
ROUTES: tuple[Route, ...] = (*_DOCUMENTED, openapi_route(_DOCUMENTED))
