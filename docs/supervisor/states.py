"""Draws docs/supervisor/states.md from the transition tables: `python docs/supervisor/states.py`."""

import enum
from collections.abc import Iterable
from pathlib import Path

from supervisor.breaker import TRANSITIONS
from supervisor.cell import LIFE
from supervisor.policy import RESTARTS, Restart
from supervisor.reason import ExitKind
from supervisor.telemetry import LEVELS, Event

PAGE = Path(__file__).with_name("states.md")


def diagram(first: enum.Enum, table: Iterable[tuple[enum.Enum, str, enum.Enum]]) -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first.value}"]
    lines += [f"    {one.value} --> {two.value}: {label}" for one, label, two in table]
    return [*lines, "```", ""]


def page() -> str:
    lines = ["# States", "", "Drawn from the tables in the code by `states.py`; a test compares.", ""]
    lines += ["## A child (`supervisor.cell.LIFE`)", "", *diagram(LIFE[0][0], LIFE)]
    lines += ["## A circuit breaker (`supervisor.breaker.TRANSITIONS`)", "", *diagram(TRANSITIONS[0][0], TRANSITIONS)]
    lines += ["## Which end restarts which child (`supervisor.policy.RESTARTS`)", ""]
    lines += ["| end | " + " | ".join(word.value for word in Restart) + " |", "|---" * (len(Restart) + 1) + "|"]
    for kind in ExitKind:
        lines.append(
            f"| {kind.value} | " + " | ".join("yes" if RESTARTS[word, kind] else "–" for word in Restart) + " |"
        )
    lines += ["", "## Telemetry events (`supervisor.telemetry.Event`)", "", "| event | log level |", "|---|---|"]
    names = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
    lines += [f"| {event.value} | {names[LEVELS[event]]} |" for event in Event]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
