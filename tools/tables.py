"""Draws the tables in docs/ from the code: `python tools/tables.py` writes them, a test tells when they are stale.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``; everything outside is written by hand.
"""

import argparse
import importlib
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import attrs

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from actors import errors  # noqa: E402 - the path above makes the program's own packages importable
from actors.cli import COMMANDS, DELEGATED  # noqa: E402
from actors.config import DEFAULTS, NAMES, PREFIX  # noqa: E402
from actors.engine.ma_cross import DEFAULTS as MA_DEFAULTS  # noqa: E402
from actors.engine.ma_cross import SCHEMA as MA_SCHEMA  # noqa: E402
from actors.web.documents import ARRAYS, REASONS  # noqa: E402
from actors.web.routes import ROUTES  # noqa: E402
from actors.web.table import Caller, Route  # noqa: E402
from wire.closing import CloseCode, may_reconnect  # noqa: E402
from wire.engine_session import TOKEN_REFRESH_AT, WELCOME_TIMEOUT_S  # noqa: E402
from wire.envelope import Envelope  # noqa: E402
from wire.events import ENGINE_MOVES, ENGINE_TRANSITIONS, PLATFORM_MOVES, PLATFORM_TRANSITIONS, State  # noqa: E402
from wire.items import ITEMS  # noqa: E402
from wire.lanes import ENGINE_DOWN, ENGINE_UP, LANES, Lane  # noqa: E402
from wire.numbering import Inbound  # noqa: E402
from wire.parts import (  # noqa: E402
    Clocks,
    LeaseExpiry,
    Limits,
    OpenOrder,
    ParameterSpec,
    PositionItem,
    Residual,
    Resume,
    StrategyReport,
)
from wire.platform_session import HELLO_TIMEOUT_S, SUSPECT_AFTER_S, TOKEN_GRACE_S  # noqa: E402
from wire.rest.access import ErrorBody, Role  # noqa: E402
from wire.rest.engines import DrillStatus, EngineHealthDetail, EngineStatus  # noqa: E402
from wire.rest.releases import (  # noqa: E402
    ApproveRequest,
    ChecklistItem,
    ReducedLimits,
    ReleaseRequest,
    ReleaseStep,
    ReleaseView,
    Waiver,
)
from wire.rest.stops import EmergencyStopResult, EnginePreview, PreviewTotal, Stop, StopRequest, TimelineEvent  # noqa: E402
from wire.rest.strategies import (  # noqa: E402
    ParameterChange,
    StrategyCommandRequest,
    StrategyCommandResult,
    StrategyParameters,
    UpdateResult,
)
from wire.schema import C  # noqa: E402
from wire.sockets import SocketLimits  # noqa: E402
from wire.stops import IDENTIFIER, Scope, StopRecord, StopSnapshot  # noqa: E402
from wire.ui import BOOKMARK_MS, DELIVERY, OFFLINE_MS, UI_DOWN, UI_UP, Delivery  # noqa: E402

PAGES = ("configuration.md", "rest.md", "engines.md", "protocol.md")
_PLACE = re.compile(r"(<!-- table: ([a-z-]+) -->\n)(.*?)(<!-- end of table -->\n)", re.DOTALL)

SETTINGS = {
    "home": ("`~/.watchkeeper`", "the home folder, 0700; one platform per folder"),
    "database_url": ("unset", "a PostgreSQL, `postgresql://user@host:5432/name`; unset: the embedded one"),
    "http": (f"`{DEFAULTS['http']}`", "REST, the dashboard and its link"),
    "engines": (f"`{DEFAULTS['engines']}`", "the engine links"),
    "emergency": (f"`{DEFAULTS['emergency']}`", "the emergency page; `off`: none. A busy port is a warning"),
    "admin_password": ("unset", "first start only: the password of `admin`; unset: a random one, printed once"),
    "keys": ("`keys` in the home folder", "the key ring; never made anew while something is sealed with it"),
    "plaintext": ("`no`", "`yes`: listeners that are not loopback may do without TLS, because a proxy encrypts"),
    "origins": ("unset", "other origins from which a browser may link, separated by commas"),
    "alert_webhook": ("unset", "a URL to which every alert is told, see [alarms.md](alarms.md)"),
    "alert_webhook_secret": ("unset", "signs what is told there"),
    "alert_webhook_severity": ("`warning`", "the least severity that is told: `info`, `warning`, `error`, `critical`"),
    "trigger_engine_lost": (
        "`HALT 60`",
        "the stop of an engine that vanished with something at stake: a level and seconds, or `off`",
    ),
    "trigger_clock_skew": (
        "`REDUCE_ONLY 5000`",
        "the stop of an engine whose clock is off by so many milliseconds, or `off`",
    ),
    "kis_url": ("unset", "where broker keys are tried instead of at the broker's own hosts: a simulator"),
    "drill_days": ("`30`", "after how many days without a drill one is overdue; `0`: never"),
    "http_tls_cert": ("unset", "certificate chain of the HTTP listener, PEM"),
    "http_tls_key": ("unset", "its key, PEM"),
    "engines_tls_cert": ("unset", "the same for the engine listener"),
    "engines_tls_key": ("unset", ""),
    "emergency_tls_cert": ("unset", "the same for the emergency page"),
    "emergency_tls_key": ("unset", ""),
}
EXITS = {
    "OK": "fine; for `stop`: every engine is verified; for `release`: released",
    "FAILED": "failed; for `stop`: recorded but not (yet) verified, or not answered, so that nobody knows; for "
    "`release`: asked for but not done; for "
    "`status`: an engine is away or a part is degraded",
    "USAGE": "wrong usage",
    "REFUSED": "refused, with the reason in one line",
}


def rows(head: Iterable[str], body: Iterable[Iterable[object]]) -> Iterator[str]:
    """A table of Markdown; a bar inside a cell is escaped."""
    names = list(head)
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for cells in body:
        yield "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


# --- configuration --------------------------------------------------------------------------------------------------


def settings_table() -> Iterator[str]:
    flags = {o for parser in [_parser("up")] for a in parser._actions for o in a.option_strings}
    body = []
    for name in NAMES:
        default, meaning = SETTINGS[name]
        flag = "--" + name.replace("_", "-")
        body.append((f"`{PREFIX}{name.upper()}`", f"`{flag}`" if flag in flags else "–", default, meaning))
    yield from rows(("variable", "flag", "default", "what"), body)


def commands_table() -> Iterator[str]:
    body = []
    for name, (_, words) in COMMANDS.items():
        for command, parser, said in _commands(name, words):
            body.append((f"`{command}`", f"`{_usage(parser)}`" if _usage(parser) else "", said))
    yield from rows(("command", "its own arguments", "what"), body)


def _commands(name: str, words: str) -> Iterator[tuple[str, argparse.ArgumentParser | None, str]]:
    if name in DELEGATED:
        yield name, None, words
        return
    parser = _parser(name)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for verb, sub in action.choices.items():
                yield f"{name} {verb}", sub, helps[verb]
            return
    yield name, parser, words


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name)
    importlib.import_module(COMMANDS[name][0]).arguments(parser)
    return parser


COMMON = frozenset({"help", "home", "url", "user", "database_url", "http", "engines", "emergency", "keys", "log_level"})
"""Arguments described once for all commands."""


def _usage(parser: argparse.ArgumentParser | None) -> str:
    if parser is None:
        return ""
    parts = []
    for action in parser._actions:
        if action.dest in COMMON:
            continue
        value = (
            "" if action.nargs == 0 else str(action.metavar or "|".join(map(str, action.choices or ())) or action.dest)
        )
        if not action.option_strings:
            parts.append(f"[{value}]" if action.nargs == "?" else value)
            continue
        text = f"{action.option_strings[0]} {value}".strip()
        parts.append(text if action.required else f"[{text}]")
    return " ".join(parts)


def exits_table() -> Iterator[str]:
    yield from rows(("code", "meaning"), ((getattr(errors, name), said) for name, said in EXITS.items()))


# --- REST -----------------------------------------------------------------------------------------------------------


def routes_table() -> Iterator[str]:
    body = [
        (f"`{r.method} {_path(r)}`", _who(r), _carries(r), _answers(r), r.doc)
        for r in sorted(ROUTES, key=lambda r: (r.path, r.method))
    ]
    yield from rows(("method and path", "role", "body", "answer", "what"), body)


def _path(route: Route) -> str:
    return re.sub("<([a-z_]+)>", r"{\1}", route.path)


def _who(route: Route) -> str:
    if route.caller is Caller.ANYONE:
        return "–"
    return "engine token" if route.caller is Caller.ENGINE else route.role.value


def _carries(route: Route) -> str:
    parts = [] if route.body is None else [f"{route.body.__name__}{' (optional)' if route.optional_body else ''}"]
    parts += ["`?" + "&".join(f"{q.name}=" for q in route.query) + "`"] if route.query else []
    parts += ["`If-Match`"] if route.if_match else []
    return ", ".join(p for p in parts if p != "Nothing (optional)") or "–"


def _answers(route: Route) -> str:
    name = "–"
    if get_origin(route.answer) is list:
        item = get_args(route.answer)[0].__name__
        name = f"{item}[]" if route.path in ARRAYS else f"{{items: {item}[], next}}"
    elif route.answer is not None:
        name = {str: "text", dict: "object"}.get(route.answer, getattr(route.answer, "__name__", "object"))
    return f"{route.status} {name}" + (", or CSV" if route.csv else "")


def statuses_table() -> Iterator[str]:
    yield from rows(("status", "when"), REASONS.items())


def roles_table() -> Iterator[str]:
    mine = {
        role: [r for r in ROUTES if r.caller is Caller.PERSON and r.role is role and r.method != "GET"] for role in Role
    }
    yield from rows(
        ("role", "changes it adds to those of the roles before it"),
        ((role.value, ", ".join(f"`{r.method} {_path(r)}`" for r in mine[role]) or "–") for role in Role),
    )


BODIES = (
    StopRequest,
    ReleaseRequest,
    Waiver,
    ReducedLimits,
    ApproveRequest,
    StrategyCommandRequest,
    ParameterChange,
)
ANSWERS = (
    Stop,
    EmergencyStopResult,
    Residual,
    TimelineEvent,
    ReleaseView,
    ReleaseStep,
    ChecklistItem,
    EnginePreview,
    PreviewTotal,
    StrategyCommandResult,
    DrillStatus,
    UpdateResult,
    StrategyParameters,
    EngineStatus,
    EngineHealthDetail,
    ErrorBody,
)


def rest_bodies() -> Iterator[str]:
    for cls in BODIES:
        yield from _described(cls.__name__, cls)


def rest_answers() -> Iterator[str]:
    for cls in ANSWERS:
        yield from _described(cls.__name__, cls, answer=True)


def topics_table() -> Iterator[str]:
    words = {
        Delivery.LATEST: "the newest item of each key",
        Delivery.RING: "every item, up to a ring; then a gap",
        Delivery.LOSSLESS: "every item; a client that is too slow is closed",
    }
    body = (
        (", ".join(f"`{topic.value}`" for topic in DELIVERY if DELIVERY[topic] is delivery), words[delivery])
        for delivery in words
    )
    yield from rows(("topics", "what a client gets"), body)


# --- the engine link ------------------------------------------------------------------------------------------------


def envelope_table() -> Iterator[str]:
    yield from _fields(Envelope)


def lanes_table() -> Iterator[str]:
    def named(table: dict[str, type], lane: Lane) -> str:
        return ", ".join(f"`{name}`" for name, cls in table.items() if LANES[cls] is lane) or "–"

    body = ((lane.value, named(ENGINE_UP, lane), named(ENGINE_DOWN, lane)) for lane in Lane)
    yield from rows(("lane", "engine → platform", "platform → engine"), body)


def messages_up() -> Iterator[str]:
    for name, cls in ENGINE_UP.items():
        yield from _described(f"`{name}`", cls)


def messages_down() -> Iterator[str]:
    for name, cls in ENGINE_DOWN.items():
        if name not in ENGINE_UP:
            yield from _described(f"`{name}`", cls)


PARTS = (
    StopRecord,
    StopSnapshot,
    StrategyReport,
    ParameterSpec,
    Resume,
    Limits,
    LeaseExpiry,
    Clocks,
    PositionItem,
    OpenOrder,
    Residual,
)


def message_parts() -> Iterator[str]:
    for cls in PARTS:
        yield from _described(cls.__name__, cls)


def closes_table() -> Iterator[str]:
    body = (
        (c.value, f"`{c.reason}`", "connect again" if may_reconnect(c) else "stay away, show it") for c in CloseCode
    )
    yield from rows(("code", "reason", "what an engine does"), body)


def timers_table() -> Iterator[str]:
    limits = Limits()
    body = (
        ("hello after the upgrade", f"{HELLO_TIMEOUT_S:g} s", "4008"),
        ("welcome after the hello, on the engine's side", f"{WELCOME_TIMEOUT_S:g} s", "4008"),
        ("heartbeat (`heartbeat_ms`)", f"{limits.heartbeat_ms / 1000:g} s", ""),
        ("suspect", f"{SUSPECT_AFTER_S:g} s", "shown"),
        ("offline (`offline_ms`), on both sides", f"{limits.offline_ms / 1000:g} s", "4008"),
        ("acknowledgement (`ack_delay_ms`)", f"{limits.ack_delay_ms} ms or {Inbound().batch} messages", ""),
        ("one frame that the peer does not take", f"{SocketLimits().send_timeout:g} s", "the connection is cut"),
        ("token refresh", f"{TOKEN_REFRESH_AT:.0%} of its life", ""),
        ("after the end of the token", f"{TOKEN_GRACE_S:g} s", "4101"),
        ("bookmark to a dashboard", f"{BOOKMARK_MS / 1000:g} s", ""),
        ("offline, for a dashboard", f"{OFFLINE_MS / 1000:g} s", "4008"),
    )
    yield from rows(("what", "when", "otherwise"), body)


def link_states() -> Iterator[str]:
    sides = (
        ("The engine's side", ENGINE_TRANSITIONS, ENGINE_MOVES, State.IDLE),
        ("The platform's side", PLATFORM_TRANSITIONS, PLATFORM_MOVES, State.AWAITING),
    )
    for title, transitions, moves, first in sides:
        yield f"**{title}**"
        yield ""
        yield "```mermaid"
        yield "stateDiagram-v2"
        yield f"    [*] --> {first.value}"
        by_message = [(one, name, two) for (one, name), two in transitions.items() if one is not two]
        for one, name, two in (*by_message, *moves):
            yield f"    {one.value} --> {two.value}: {name}"
        yield "```"
        yield ""
        yield from rows(("state", "may receive"), _accepted(transitions))
        yield ""


def _accepted(transitions: Mapping[tuple[State, str], State]) -> Iterator[tuple[str, str]]:
    for state in State:
        names = [name for one, name in transitions if one is state]
        if names:
            yield f"`{state.value}`", ", ".join(f"`{name}`" for name in names)


def topic_items() -> Iterator[str]:
    body = []
    for topic, item in ITEMS.items():
        names = " or ".join(cls.__name__ for cls in (item.cls, item.or_else) if cls)
        key = ", ".join(f"`{name}`" for name in item.key) or "–"
        body.append((f"`{topic.value}`", names + (" and `engine_id`" if item.of_engine else ""), key))
    yield from rows(("topic", "item", "key"), body)


def ui_up() -> Iterator[str]:
    for name, cls in UI_UP.items():
        yield from _described(f"`{name}`", cls)


def ui_down() -> Iterator[str]:
    for name, cls in UI_DOWN.items():
        yield from _described(f"`{name}`", cls)


def parameters_table() -> Iterator[str]:
    body = (
        (
            f"`{key}`",
            spec.title,
            spec.type,
            f"{spec.minimum:g} – {spec.maximum:g}",
            f"{spec.step:g}",
            spec.unit,
            f"{MA_DEFAULTS[key]:g}",
            spec.loosens.value,
        )
        for key, spec in MA_SCHEMA.items()
    )
    yield from rows(("key", "what", "type", "range", "step", "unit", "default", "takes more risk"), body)


# --- types ----------------------------------------------------------------------------------------------------------


def _described(title: str, cls: type, *, answer: bool = False) -> Iterator[str]:
    yield f"**{title}**"
    yield ""
    if cls.__doc__ and not cls.__doc__.startswith("Method generated"):
        yield re.sub(r" \(property [0-9]+\)", "", " ".join(cls.__doc__.replace("``", "`").split()))
        yield ""
    yield from _fields(cls, answer=answer)
    yield ""


def _fields(cls: type, *, answer: bool = False) -> Iterator[str]:
    """``answer``: every field is always there, so nothing is said about leaving it out."""
    hints = get_type_hints(cls, include_extras=True)
    fields = [f for f in attrs.fields(cls) if f.init]
    if answer:
        yield from rows(("field", "type"), ((f"`{f.name}`", kind(hints[f.name])) for f in fields))
    else:
        body = ((f"`{f.name}`", kind(hints[f.name]), _default(f)) for f in fields)
        yield from rows(("field", "type", "when left out"), body)


def _default(field: "attrs.Attribute[Any]") -> str:
    default: Any = field.default
    if default is attrs.NOTHING:
        return "required"
    factory = getattr(default, "factory", None)
    if factory is not None:
        default = factory()
    if default is None or isinstance(default, bool):
        return f"`{str(default).lower()}`".replace("none", "null")
    if isinstance(default, Enum):
        return f"`{default.value}`"
    if isinstance(default, int | float):
        return f"`{default}`"
    if attrs.has(type(default)) and not isinstance(default, Scope):
        return "its defaults"
    text = str(default)
    return f"`{text}`" if text else '`""`'


def kind(annotation: Any) -> str:
    """A type as a reader of JSON sees it, with its bounds."""
    origin = get_origin(annotation)
    if origin is Annotated:
        notes = [_bounds(m) for m in annotation.__metadata__ if isinstance(m, C)]
        return " ".join([kind(annotation.__origin__), *(note for note in notes if note)])
    if origin in (Union, types.UnionType):
        options = [kind(o) for o in get_args(annotation)]
        return "number" if set(options) == {"integer", "number"} else " or ".join(options)
    if origin in (list, tuple):
        return f"list of {kind(get_args(annotation)[0])}"
    if origin is dict:
        return "object of " + kind(get_args(annotation)[1])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " ".join(f"`{member.value}`" for member in annotation)
    return _NAMES.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "any"))


_NAMES = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "NoneType": "null",
    "datetime": "time",
    "date": "day",
    "Decimal": "decimal text",
    "Scope": "scope",
    "Any": "object",
}


_PATTERNS = {
    IDENTIFIER: "id",
    r"[\x21-\x7e]{1,64}": "1 – 64 visible ASCII characters",
}


def _bounds(c: C) -> str:
    parts: list[str] = []
    if c.ge is not None and c.le is not None and c.le < 2**53:
        parts.append(f"{c.ge:,.0f} – {c.le:,.0f}")
    elif c.ge is not None and c.ge > -(2**53):
        parts.append(f"≥ {c.ge:g}")
    parts += [f"> {c.gt:g}"] if c.gt is not None else []
    parts += ["not empty"] if c.min_length == 1 else []
    parts += [f"≤ {c.max_length:,} long"] if c.max_length is not None else []
    parts += [_PATTERNS.get(c.pattern, f"`{c.pattern}`")] if c.pattern is not None else []
    parts += [f"≤ {c.decimal_places} places"] if c.decimal_places is not None else []
    parts += [c.unit] if c.unit else []
    return f"({', '.join(parts)})" if parts else ""


TABLES: dict[str, Callable[[], Iterator[str]]] = {
    "settings": settings_table,
    "commands": commands_table,
    "exits": exits_table,
    "routes": routes_table,
    "statuses": statuses_table,
    "roles": roles_table,
    "rest-bodies": rest_bodies,
    "rest-answers": rest_answers,
    "topics": topics_table,
    "envelope": envelope_table,
    "lanes": lanes_table,
    "messages-up": messages_up,
    "messages-down": messages_down,
    "parts": message_parts,
    "closes": closes_table,
    "timers": timers_table,
    "link-states": link_states,
    "topic-items": topic_items,
    "ui-up": ui_up,
    "ui-down": ui_down,
    "parameters": parameters_table,
}


def redrawn(page: str) -> str:
    """The page with every table as the code has it now. KeyError for a table nobody draws."""

    def drawn(place: "re.Match[str]") -> str:
        return place[1] + "\n".join(TABLES[place[2]]()).rstrip() + "\n" + place[4]

    return _PLACE.sub(drawn, page)


def main() -> None:
    for name in PAGES:
        path = ROOT / "docs" / name
        path.write_text(redrawn(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
