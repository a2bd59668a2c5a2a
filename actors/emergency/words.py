"""What the emergency page answers, in Korean and in English: whoever reads it has no time to choose.

Sentences come from the book, states and phases from the words of the incident reports.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from actors.emergency.local_socket import LocalAnswer
from actors.incidents.words import LANGUAGES
from wire.errors import WireError
from wire.phrases import put
from wire.rest.stops import EmergencyStopResult, StopState
from wire.values import StopPhase

GOOD, CARE, BAD = "✓", "▲", "✕"
NOT_DURABLE = "not on the disk yet"
AT_THE_BROKER = "look after these on the broker's own screen: {engines}"
AT_THE_BROKER_ALL = "look after orders and positions on the broker's own screen"
MORE = "and {n} more engines"
SHOWN = 20
"""So many engines are named with what they lack."""
_DONE = frozenset({StopPhase.VERIFIED, StopPhase.SUPERSEDED, StopPhase.RELEASED})


@attrs.frozen
class Said:
    """``mark`` is a sign that needs no colour; the lines of both languages say the same."""

    mark: str
    ko: tuple[str, ...]
    en: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        return {"mark": self.mark, "ko": list(self.ko), "en": list(self.en)}


def said(answer: LocalAnswer) -> Said:
    """What became of a stop, which engines lack what, and what a person does next."""
    results = answer.stop.results if answer.stop is not None else []
    open_ones = [each for each in results if each.phase not in _DONE]
    is_proved = answer.state is StopState.VERIFIED and answer.durable
    mark = BAD if not answer.recorded else GOOD if is_proved else CARE

    def lines(language: str) -> tuple[str, ...]:
        made = [put(answer.words, language)]
        if answer.recorded and not answer.durable:
            made.append(put(NOT_DURABLE, language))
        made += [_lacks(each, language) for each in open_ones[:SHOWN]]
        if len(open_ones) > SHOWN:
            made.append(put(MORE.format(n=len(open_ones) - SHOWN), language))
        if open_ones:
            named = ", ".join(each.engine_id for each in open_ones[:SHOWN])
            made.append(put(AT_THE_BROKER.format(engines=named), language))
        elif answer.state is None:
            made.append(put(AT_THE_BROKER_ALL, language))
        return tuple(made)

    return Said(mark, lines("ko"), lines("en"))


def said_of(error: WireError) -> Said:
    """Why nothing was done."""
    field = f"{error.field}: " if error.field else ""
    return Said(BAD, (field + put(error.reason, "ko"),), (field + error.reason,))


def _lacks(result: EmergencyStopResult, language: str) -> str:
    words: Mapping[str, str] = LANGUAGES[language]
    why = f" · {put(result.error, language)}" if result.error else ""
    return f"{result.engine_id}: {words[f'phase.{result.phase.value}']}{why}"
