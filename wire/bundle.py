"""The frames of both links as one JSON Schema document, for those who check or generate code in another language.

Every frame is described whole: the envelope of its link with this one ``type`` and this one payload. A frame of the
engine link that is not control has to carry ``seq``; a control frame has to do without.
"""

from collections.abc import Mapping

from wire import vocabulary
from wire.envelope import Envelope
from wire.items import ITEMS
from wire.jsonschema import DIALECT, Schema, Schemas
from wire.lanes import ENGINE_DOWN, ENGINE_UP, LANES, Lane
from wire.ui import UI_DOWN, UI_UP, Topic, UiEnvelope

DIRECTIONS: Mapping[str, tuple[str, Mapping[str, type]]] = {
    "EngineUp": ("engine", ENGINE_UP),
    "EngineDown": ("engine", ENGINE_DOWN),
    "UiUp": ("ui", UI_UP),
    "UiDown": ("ui", UI_DOWN),
}
"""What an engine sends, what it gets, what a dashboard sends, what it gets."""

VOCABULARY: tuple[type, ...] = tuple(
    cls for cls in vars(vocabulary).values() if isinstance(cls, type) and cls.__module__ == vocabulary.__name__
)
"""Models that no frame carries."""


def bundle() -> Schema:
    """``$defs`` holds every message, frame, item and model; the four directions are the names to begin with."""
    schemas = Schemas(at="#/$defs/")
    define_frames(schemas)
    for cls in VOCABULARY:
        schemas.of(cls)
    return {
        "$schema": DIALECT,
        "$id": "urn:watchkeeper:wire:1",
        "title": "The frames of Watchkeeper's links",
        "anyOf": [{"$ref": f"#/$defs/{direction}"} for direction in DIRECTIONS],
        "$defs": dict(sorted(schemas.definitions.items())),
    }


def define_frames(schemas: Schemas) -> None:
    """Adds every frame, the union of each direction, and the item of every topic."""
    for direction, (link, table) in DIRECTIONS.items():
        for kind, cls in table.items():
            schemas.definitions[frame_name(link, kind)] = frame_schema(schemas, direction, kind, cls)
        schemas.definitions[direction] = {"oneOf": [schemas.named(frame_name(link, kind)) for kind in table]}
    for topic in ITEMS:
        schemas.definitions[item_name(topic)] = _item(schemas, topic)


def frame_name(link: str, kind: str) -> str:
    """``engine``, ``trade_log`` → ``EngineTradeLogFrame``."""
    return "".join(word.capitalize() for word in (link, *kind.split("_"), "frame"))


def item_name(topic: Topic) -> str:
    return f"{topic.value.capitalize()}Item"


def frame_schema(schemas: Schemas, direction: str, kind: str, cls: type) -> Schema:
    """One whole frame of a direction."""
    properties, required = _envelope(direction, cls)
    properties = {**properties, "type": {"const": kind}, "payload": schemas.of(cls)}
    return {"type": "object", "properties": properties, "required": required}


def _envelope(direction: str, cls: type) -> tuple[Schema, list[str]]:
    shape = Schemas().object(UiEnvelope if direction == "UiUp" else Envelope)
    properties, required = shape["properties"], list(shape["required"])
    if direction == "UiDown":
        required = ["type", "payload", "timestamp"]
        properties = {name: properties[name] for name in required}
    elif direction != "UiUp" and LANES[cls] is Lane.CONTROL:
        properties["seq"] = {"type": "null", "description": "a control message has no number"}
    elif direction != "UiUp":
        properties["seq"] = properties["seq"]["anyOf"][0]
        required.append("seq")
    return properties, required


def _item(schemas: Schemas, topic: Topic) -> Schema:
    item = ITEMS[topic]
    shape = schemas.of(item.cls, answer=True)
    if item.or_else is not None:
        shape = {"anyOf": [shape, schemas.of(item.or_else, answer=True)]}
    if not item.of_engine:
        return shape
    owner = {"type": "object", "properties": {"engine_id": {"type": "string"}}, "required": ["engine_id"]}
    return {"allOf": [shape, owner]}
