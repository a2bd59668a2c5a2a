"""The whole route table."""

from actors.web import auditing, engines, health, login, parameters, people, preferences, records, stops
from actors.web.documents import document_route
from actors.web.table import Route

_TABLE: tuple[Route, ...] = (
    *login.ROUTES,
    *preferences.ROUTES,
    *stops.ROUTES,
    *parameters.ROUTES,
    *engines.ROUTES,
    *people.ROUTES,
    *health.ROUTES,
    *records.ROUTES,
    *auditing.ROUTES,
)
ROUTES: tuple[Route, ...] = (*_TABLE, document_route(_TABLE))
