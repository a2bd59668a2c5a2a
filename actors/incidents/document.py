"""An incident report as a document: one list of headings, facts and tables, written as Markdown or as HTML. Pure.

Everything foreign (reasons, log lines, names) is text: it is escaped in both, and cannot become markup. Times are
Korean, with seconds and their offset.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

import attrs

from actors.incidents.report import STAGES, EngineIncident, IncidentReport
from actors.incidents.words import LANGUAGES
from wire.loglines import put_line
from wire.phrases import put
from wire.rest.records import LogRow
from wire.rest.stops import Stop, TimelineEvent
from wire.stops import Scope
from wire.values import Flatness, LogCategory, StopPhase

PLATFORM = "platform"
KST = timezone(timedelta(hours=9))
STYLE = (
    "body{font:15px/1.5 system-ui,'Noto Sans CJK KR',sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}"
    "td,th{border:1px solid #9994;padding:.25rem .6rem;text-align:left;vertical-align:top}"
    ".note{border-left:4px solid #c60;padding:.25rem .75rem}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}"
)


@attrs.frozen
class Heading:
    level: int
    text: str


@attrs.frozen
class Note:
    text: str


@attrs.frozen
class Table:
    """``head`` may be empty: then the first column names what the second says."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Note | Table


def blocks(report: IncidentReport, language: str) -> list[Block]:
    """``language``: ``ko`` or ``en``."""
    w = LANGUAGES[language]
    found: list[Block] = [Heading(1, _title(report, w))]
    if not report.complete:
        found.append(Note(w["incomplete"]))
    found += [Table((), _facts(report, w)), Heading(2, w["engines"]), _engines(report.engines, w)]
    found += [Heading(2, w["latency"]), _latency(report.engines, w)]
    found += [Heading(2, w["residuals"]), _residuals(report.engines, w)]
    found += [Heading(2, w["parameters"]), _parameters(report.engines, w)]
    found += [Heading(2, w["timeline"]), _timeline(report, w)]
    return [*found, Heading(2, w["log"]), *_log(report, w)]


def markdown(report: IncidentReport, language: str) -> str:
    lines: list[str] = []
    for block in blocks(report, language):
        match block:
            case Heading(level=level, text=text):
                lines += [f"{'#' * level} {_plain(text)}", ""]
            case Note(text=text):
                lines += [f"> {_plain(text)}", ""]
            case Table(head=head, rows=rows):
                width = len(head) or 2
                lines += [_line(head or ("", "")), _line(["---"] * width, raw=True)]
                lines += [*(_line(row) for row in rows), ""]
    return "\n".join(lines)


def page(report: IncidentReport, language: str) -> str:
    """A whole HTML document that loads nothing."""
    body: list[str] = []
    for block in blocks(report, language):
        match block:
            case Heading(level=level, text=text):
                body.append(f"<h{level}>{html.escape(text)}</h{level}>")
            case Note(text=text):
                body.append(f'<p class="note">{html.escape(text)}</p>')
            case Table(head=head, rows=rows):
                body.append(_table(head, rows))
    title = html.escape(_title(report, LANGUAGES[language]))
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


# --- what it says -----------------------------------------------------------------------------------------------------


def _title(report: IncidentReport, w: Mapping[str, str]) -> str:
    mark = f" [{w['drill']}]" if report.stop.drill else ""
    return f"{w['title']} {report.stop.stop_id}{mark}"


def _facts(report: IncidentReport, w: Mapping[str, str]) -> list[tuple[str, str]]:
    stop = report.stop
    return [
        (w["scope"], _scope(stop.scope, w)),
        (w["level"], _word("level", stop.level.value, w)),
        (w["by"], _person(stop, report.people, w)),
        (w["cause"], _word("cause", stop.cause, w)),
        (w["reason"], put(stop.reason, w["language"]) or w["none"]),
        (w["requested"], _time(stop.requested_at)),
        (w["durable"], w["yes"] if stop.durable else w["no"]),
        (w["state"], _word("stop.state", stop.state.value, w)),
        (w["released"], _time(stop.released_at) if stop.released_at else w["open"]),
        (w["made"], _time(report.made_at)),
    ]


def _engines(engines: Iterable[EngineIncident], w: Mapping[str, str]) -> Table:
    head = (w["engine"], w["phase"], w["before"], w["after"], w["flatness"], w["error"])
    rows = [
        (e.engine_id, _phase(e.phase, w), _before(e, w), _after(e, w), _flat(e, w), put(e.error or "", w["language"]))
        for e in engines
    ]
    return Table(head, rows)


def _before(engine: EngineIncident, w: Mapping[str, str]) -> str:
    before = engine.before
    if before is None:
        return w["unknown"]
    counts = f"{w['orders']} {_count(before.orders, w)}, {w['positions']} {_count(before.positions, w)}"
    value = f"{before.value:,} {w['won']}" if before.value is not None else w["unknown"]
    as_of = f" ({w['as_of']} {_time(before.as_of)})" if before.as_of else ""
    return f"{counts}, {w['value']} {value}{as_of}"


def _after(engine: EngineIncident, w: Mapping[str, str]) -> str:
    orders = f"{w['orders']} {w['cancelled']} {engine.orders_cancelled}, {w['remaining']} "
    positions = f"{w['positions']} {w['liquidated']} {engine.positions_liquidated}, {w['remaining']} "
    left = _left(engine, engine.orders_remaining), _left(engine, engine.positions_remaining)
    return f"{orders}{_count(left[0], w)}; {positions}{_count(left[1], w)}"


def _left(engine: EngineIncident, count: int | None) -> int | None:
    """None left is known from reads of the broker alone: where those say nothing, it is not known."""
    was_read = any(stage.phase is StopPhase.CANCELLED for stage in engine.stages)
    return None if not count and engine.flatness is Flatness.UNKNOWN and not was_read else count


def _flat(engine: EngineIncident, w: Mapping[str, str]) -> str:
    as_of = f" ({w['as_of']} {_time(engine.flatness_as_of)})" if engine.flatness_as_of else ""
    is_open = engine.flatness is Flatness.UNKNOWN and engine.flatness_reason
    why = f": {put(engine.flatness_reason or '', w['language'])}" if is_open else ""
    return f"{_word('flatness', engine.flatness.value, w)}{why}{as_of}"


def _latency(engines: Iterable[EngineIncident], w: Mapping[str, str]) -> Table:
    rows: list[list[str]] = []
    for engine in engines:
        reached = {stage.phase: str(stage.ms) for stage in engine.stages}
        rows.append([engine.engine_id, *(reached.get(phase, "–") for phase in STAGES)])
    return Table((w["engine"], *(_phase(phase, w) for phase in STAGES)), rows)


def _residuals(engines: Iterable[EngineIncident], w: Mapping[str, str]) -> Table:
    rows = [
        (e.engine_id, r.symbol, f"{r.quantity:,}", put(r.reason, w["language"]), _time(r.until) if r.until else "")
        for e in engines
        for r in e.residuals
    ]
    head = (w["engine"], w["symbol"], w["quantity"], w["reason"], w["until"])
    return Table(head, rows or [(w["none"], "", "", "", "")])


def _parameters(engines: Iterable[EngineIncident], w: Mapping[str, str]) -> Table:
    rows = [
        (e.engine_id, s.strategy_id, _word("status", s.status, w), str(s.version), _values(s.parameters))
        for e in engines
        if e.before is not None
        for s in e.before.strategies
    ]
    head = (w["engine"], w["strategy"], w["status"], w["version"], w["parameters"])
    return Table(head, rows or [(w["none"], "", "", "", "")])


def _timeline(report: IncidentReport, w: Mapping[str, str]) -> Table:
    rows = [
        (_time(event.at), event.engine_id or w["platform"], _event(event.event, w), _said(event, report.people, w))
        for event in report.stop.timeline
    ]
    return Table((w["time"], w["engine"], w["event"], w["detail"]), rows)


def _person(stop: Stop, people: Mapping[str, str], w: Mapping[str, str]) -> str:
    name = stop.username or people.get(stop.user_id)
    known = w["platform"] if stop.user_id == PLATFORM else _word("cause", stop.user_id, w)
    return f"{name} ({stop.user_id})" if name not in (None, stop.user_id) else known


def _said(event: TimelineEvent, people: Mapping[str, str], w: Mapping[str, str]) -> str:
    """What a person did begins with that person's name; where the name was not known, with the id."""
    who, colon, rest = (event.detail or "").partition(":")
    is_person = event.engine_id is None and who in people
    return put(f"{people[who]}{colon}{rest}" if is_person else event.detail or "", w["language"])


def _word(of: str, value: str, w: Mapping[str, str]) -> str:
    return w.get(f"{of}.{value}", value)


def _phase(phase: StopPhase, w: Mapping[str, str]) -> str:
    return _word("phase", phase.value, w)


def _event(event: str, w: Mapping[str, str]) -> str:
    return w.get(f"event.{event}") or _word("phase", event, w)


def _scope(scope: Scope, w: Mapping[str, str]) -> str:
    kind, _, name = str(scope).partition(":")
    return w[f"scope.{kind}"].replace("{name}", name)


def _values(parameters: Mapping[str, int | float]) -> str:
    return ", ".join(f"{k} = {v}" for k, v in parameters.items())


def _log(report: IncidentReport, w: Mapping[str, str]) -> list[Block]:
    if report.log is None:
        return [Note(w["log_missing"])]
    rows = [
        (_time(row.timestamp), row.engine_id, _word("category", row.category.value, w), *_in_the_log(row, w))
        for row in report.log
    ]
    table = Table((w["time"], w["engine"], w["event"], w["message"], w["reason"]), rows)
    return [Note(w["log_cut"]), table] if report.log_is_cut else [table]


def _in_the_log(row: LogRow, w: Mapping[str, str]) -> tuple[str, str]:
    """Message and reason; what an engine says of itself in the reader's language, and its strategies' words as they
    came."""
    message, reason = row.message, row.reason or ""
    if row.category is not LogCategory.SYSTEM:
        return message, reason
    return put_line(message, w["language"]), put_line(reason, w["language"])


# --- how it is written ------------------------------------------------------------------------------------------------


def _time(at: datetime) -> str:
    return at.astimezone(KST).isoformat(sep=" ", timespec="milliseconds")


def _count(value: int | None, w: Mapping[str, str]) -> str:
    return w["unknown"] if value is None else str(value)


def _plain(text: str) -> str:
    """One line in which nothing is markup."""
    one_line = re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text)
    return re.sub(r"([\\`*_{}\[\]<>#|!~&])", r"\\\1", one_line)


def _line(cells: Sequence[str], *, raw: bool = False) -> str:
    return f"| {' | '.join(cells if raw else map(_plain, cells))} |"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = f"<thead><tr>{''.join(f'<th scope=col>{html.escape(c)}</th>' for c in head)}</tr></thead>" if head else ""
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows)
    return f"<table>{top}<tbody>{body}</tbody></table>"
