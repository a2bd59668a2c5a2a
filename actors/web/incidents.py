"""The report of a stop over HTTP: as data, or as a document for people."""

from actors.incidents.document import markdown, page
from actors.incidents.office import MakeReport
from actors.incidents.report import IncidentReport
from actors.incidents.words import LANGUAGES
from actors.requests import INCIDENTS
from actors.web.problems import Problem, not_found, unavailable
from actors.web.table import Answer, Call, Query, Route, Text
from store import stops as stored
from supervisor.errors import SupervisorError

TIMEOUT = 15.0


async def report(call: Call) -> Answer:
    """JSON unless the caller prefers text/markdown or text/html."""
    stop_id = call.identifier("stop_id")
    language = call.query.get("lang") or "ko"
    if language not in LANGUAGES:
        raise Problem(422, "error_invalid_field", "must be ko or en", "lang")
    stop = call.services.stops.get(stop_id)
    if stop is None:
        stop = await call.services.db.run(stored.get, stop_id)
    if stop is None:
        raise not_found("stop")
    try:
        made = await call.services.system.ref(INCIDENTS).ask(MakeReport(stop=stop), timeout=TIMEOUT)
    except SupervisorError:
        raise unavailable("the report cannot be made now") from None
    wanted = (call.header("accept") or "").split(",")[0].split(";")[0].strip().lower()
    name = f'inline; filename="{stop_id}'
    if wanted == "text/markdown":
        text = Text(content=markdown(made, language), mime="text/markdown; charset=utf-8")
        return Answer(value=text, headers={"Content-Disposition": f'{name}.md"'})
    if wanted == "text/html":
        return Answer(value=Text(content=page(made, language), mime="text/html; charset=utf-8"))
    return Answer(value=made)


ROUTES = (
    Route(
        method="GET",
        path="/api/stops/<stop_id>/report",
        handler=report,
        doc="What happened in a stop, before and after: JSON, text/markdown or text/html by Accept.",
        answer=IncidentReport,
        media=("text/markdown", "text/html"),
        query=(Query(name="lang", doc="ko (default) or en: the language of the documents"),),
    ),
)
