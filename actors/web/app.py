"""The Quart application: one dispatcher for every row of the route table.

The order for each request is always the same: the whole body is taken (a connection whose body was left unread would
hang), then who calls, then whether they may, then the body's type, then the idempotency key, then the handler.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from quart import Response, g, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from actors.platform.services import Services
from actors.web.access import admit
from actors.web.answers import JSON, content_of
from actors.web.doors import Doors
from actors.web.names import COOKIE
from actors.web.pages import Pages, serve
from actors.web.problems import Problem, not_found, problem_of
from actors.web.remembered import remembered
from actors.web.routes import ROUTES
from actors.web.table import Answer, Call, Cookie, Route
from wire.codec import encode, parse, structure
from wire.errors import Malformed
from wire.rest.access import ErrorBody

MAX_BODY = 256 * 1024
BODY_TIMEOUT = 10

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}
ERRORS = {
    400: "error_malformed",
    404: "error_not_found",
    405: "error_method_not_allowed",
    413: "error_too_large",
    415: "error_unsupported_media_type",
    426: "error_upgrade_required",
}

log = logging.getLogger("actors.web")


@attrs.define(kw_only=True)
class Face:
    """What the web face keeps beside the services."""

    services: Services
    doors: Doors = attrs.field(factory=Doors)
    pages: Pages = attrs.field(factory=Pages)


def build_app(face: Face) -> QuartTrio:
    """The application that answers for ``face``; the WebSocket endpoint is added by ``actors.web.live``."""
    app = QuartTrio("actors.web", static_folder=None)
    app.url_map.merge_slashes = False  # a path that is not ours is said to be unknown, not sent elsewhere
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY, BODY_TIMEOUT=BODY_TIMEOUT, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.before_request(_take_body)
    app.after_request(_finish(face))
    app.register_error_handler(HTTPException, _http_error(face))
    app.register_error_handler(Exception, _unexpected)
    for path, routes in _by_path(ROUTES).items():
        _add(app, face, path, routes)
    return app


def _by_path(routes: tuple[Route, ...]) -> Mapping[str, list[Route]]:
    paths: dict[str, list[Route]] = {}
    for route in routes:
        paths.setdefault(route.path, []).append(route)
    return paths


def _add(app: QuartTrio, face: Face, path: str, routes: list[Route]) -> None:
    by_method = {route.method: route for route in routes}
    allowed = ", ".join(sorted({*by_method, "OPTIONS", *(["HEAD"] if "GET" in by_method else [])}))

    async def endpoint(**params: str) -> Response:
        if request.method == "OPTIONS":
            return Response("", status=204, headers={"Allow": allowed})
        route = by_method["GET" if request.method == "HEAD" else request.method]
        return await _answer(face, route, params)

    methods = [*by_method, "OPTIONS"]
    app.add_url_rule(path, endpoint=path, view_func=endpoint, methods=methods, strict_slashes=False)


async def _answer(face: Face, route: Route, params: Mapping[str, str]) -> Response:
    g.route = route
    try:
        call = await _call(face, route, params)
        answer = await remembered(call)
    except Exception as error:
        problem = problem_of(error)
        if problem is None:
            raise
        return problem_response(problem)
    return _response(call, answer)


async def _call(face: Face, route: Route, params: Mapping[str, str]) -> Call:
    headers = {name.lower(): value for name, value in request.headers.items()}
    origin = headers.get("origin", "")
    secure = face.services.settings.http_tls is not None or origin.startswith("https://")
    call = Call(
        services=face.services,
        doors=face.doors,
        route=route,
        principal=None,
        claims=None,
        params=params,
        query=request.args.to_dict(),
        headers=headers,
        cookies=request.cookies,
        remote=request.remote_addr or "",
        raw=bytes(await request.body),
        secure=secure,
    )
    call = admit(call)
    g.principal = call.principal
    return attrs.evolve(call, body=_body(call))


def _body(call: Call) -> Any:
    route = call.route
    if route.body is None:
        return None
    if not call.raw.strip():
        if route.optional_body:
            return structure({}, route.body)
        raise Problem(400, "error_malformed", "a JSON body is needed")
    mime = (call.header("content-type") or "").split(";")[0].strip().lower()
    if mime != JSON and not route.lenient:
        raise Problem(415, "error_unsupported_media_type", f"the body has to be {JSON}")
    try:
        return structure(parse(call.raw, max_bytes=MAX_BODY), route.body)
    except Malformed as error:
        raise Problem(422 if route.lenient else 400, error.code, error.reason) from None


def _response(call: Call, answer: Answer) -> Response:
    content, mime = content_of(answer, as_csv=call.route.csv and call.wants_csv())
    response = Response(content, status=answer.status, content_type=mime, headers=dict(answer.headers))
    if answer.cookie is not None:
        _set_cookie(response, answer.cookie, secure=call.secure)
    return response


def cookie_name(*, secure: bool) -> str:
    return f"__Host-{COOKIE}" if secure else COOKIE


def _set_cookie(response: Response, cookie: Cookie, *, secure: bool) -> None:
    response.set_cookie(
        cookie_name(secure=secure),
        cookie.value,
        max_age=cookie.max_age,
        path="/" if secure else "/api/auth",
        secure=secure,
        httponly=True,
        samesite="Strict",
    )


def problem_response(problem: Problem) -> Response:
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="watchkeeper"')
    if problem.status == 413:
        headers["Connection"] = "close"
    body = (
        encode(problem.body())
        if problem.field is not None
        else encode(ErrorBody(error=problem.error, reason=problem.reason))
    )
    return Response(body, status=problem.status, content_type=JSON, headers=headers)


# --- around every request -----------------------------------------------------------------------------------------


async def _take_body() -> None:
    g.began = time.monotonic()
    await request.get_data(as_text=False)


def _finish(face: Face) -> Callable[[Response], Any]:
    hsts = face.services.settings.http_tls is not None

    async def finish(response: Response) -> Response:
        response.headers.extend({k: v for k, v in HEADERS.items() if k not in response.headers})
        if hsts:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        response.headers.setdefault("Cache-Control", "no-store")
        _note(response)
        return response

    return finish


def _note(response: Response) -> None:
    route: Route | None = g.get("route")
    principal = g.get("principal")
    level = logging.WARNING if response.status_code >= 500 else logging.INFO
    took = round((time.monotonic() - g.get("began", time.monotonic())) * 1000)
    log.log(
        level,
        "%s %s %d",
        request.method,
        route.path if route else _shown(request.path),
        response.status_code,
        extra={"ms": took, "user": principal.username if principal else None, "remote": request.remote_addr},
    )


def _shown(path: str) -> str:
    """An unknown path in a log line: short, and without what may be a secret in it."""
    return path.encode("unicode_escape").decode()[:80]


def _http_error(face: Face) -> Callable[[HTTPException], Any]:
    async def answer(error: HTTPException) -> Response:
        status = error.code or 500
        if status < 400 or status == 404:  # below 400: a redirect of the router, which no path of ours needs
            return _page(face) or problem_response(not_found("page"))
        if status == 405:
            allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
            return problem_response(Problem(405, ERRORS[405], f"allowed here: {allowed}", headers={"Allow": allowed}))
        return problem_response(_other_problem(status, error))

    return answer


def _other_problem(status: int, error: HTTPException) -> Problem:
    """Whatever else the framework refuses, as one of the statuses that clients know."""
    if request.path == "/ws":
        return Problem(426, ERRORS[426], "this address speaks WebSocket only", headers={"Upgrade": "websocket"})
    if status == 413:
        return Problem(413, ERRORS[413], f"a body has at most {MAX_BODY} bytes")
    known = status if status in ERRORS else 400 if status < 500 else 500
    return Problem(known, ERRORS.get(known, "error_internal"), error.name or "the request cannot be answered")


async def _unexpected(error: Exception) -> Response:
    problem = problem_of(error)
    if problem is None:
        log.error("a request failed: %s", described(error))
        problem = Problem(500, "error_internal", "the platform failed to answer this; its log says more")
    return problem_response(problem)


def described(error: BaseException) -> str:
    """Where an error came from, without its text: that may repeat a value of the request."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    return f"{type(error).__name__} at " + " < ".join(f"{f.name}:{f.lineno}" for f in reversed(frames))


# --- the dashboard ------------------------------------------------------------------------------------------------


def _page(face: Face) -> Response | None:
    path = request.path
    if request.method not in ("GET", "HEAD") or path.startswith("/api/"):
        return None
    found = face.pages.find(path)
    if found is None:
        return None
    served = serve(
        found,
        if_none_match=request.headers.get("If-None-Match"),
        accept_encoding=request.headers.get("Accept-Encoding"),
    )
    response = Response(served.content, status=served.status)
    response.headers.update(served.headers)
    return response
