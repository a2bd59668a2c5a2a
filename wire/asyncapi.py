"""AsyncAPI 3.1 of both links, from the message classes and the tables of lanes, topics and close codes.

Operations are the platform's: it receives what engines and dashboards send.
"""

from collections.abc import Mapping

from wire import messages, ui, values
from wire.bundle import DIRECTIONS, define_frames, frame_name, item_name
from wire.closing import CloseCode, may_reconnect
from wire.items import ITEMS
from wire.jsonschema import Schema, Schemas
from wire.lanes import LANES, Lane

CHANNELS: Mapping[str, str] = {"engine": "engineLink", "ui": "uiLink"}

REPLIES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("EngineUp", "hello"): ("welcome",),
    ("EngineUp", "auth"): ("ack", "nack"),
    ("EngineUp", "heartbeat"): ("heartbeat_ack",),
    ("EngineDown", "emergency_stop"): ("ack", "nack", "stop_progress"),
    ("EngineDown", "release"): ("ack", "nack", "stop_progress"),
    ("EngineDown", "parameter_update"): ("ack", "nack", "parameter_result"),
    ("EngineDown", "config_changed"): ("ack", "nack"),
    ("UiUp", "hello"): ("welcome",),
    ("UiUp", "auth"): ("ack", "nack"),
    ("UiDown", "bookmark"): ("bookmark_ack",),
}
"""What answers a message by name. Besides, every numbered message is acknowledged, cumulatively, or nacked."""

_NUMBERED_ANSWERS = ("ack", "nack")


def asyncapi(version: str) -> Schema:
    """The whole document as plain values; ``version`` is the program's."""
    schemas = Schemas()
    define_frames(schemas)
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "Watchkeeper's links",
            "version": version,
            "description": "The link of trading engines and the link of dashboards. Text frames, one JSON object each.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "engines": {
                "host": "127.0.0.1:8701",
                "protocol": "ws",
                "description": "The engine listener; wss under TLS.",
                "security": [{"$ref": "#/components/securitySchemes/engineToken"}],
            },
            "dashboard": {
                "host": "127.0.0.1:8700",
                "protocol": "ws",
                "description": "The listener of REST and dashboards; wss under TLS.",
                "security": [{"$ref": "#/components/securitySchemes/accessToken"}],
            },
        },
        "channels": {"engineLink": _engine_link(), "uiLink": _ui_link()},
        "operations": {name: op for direction in DIRECTIONS for name, op in _operations(direction)},
        "components": {
            "messages": {f"{link}.{kind}": m for link in CHANNELS for kind, m in _messages(link).items()},
            "schemas": dict(sorted(schemas.definitions.items())),
            "securitySchemes": {
                "engineToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "From POST /api/auth/engine-token, in the Authorization header of the upgrade.",
                },
                "accessToken": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "From POST /api/auth/login. Not a header: it travels in the first message, hello.",
                },
            },
        },
    }


def _engine_link() -> Schema:
    return {
        "address": "/ws/engine/{engine_id}",
        "title": "The engine link",
        "servers": [{"$ref": "#/servers/engines"}],
        "parameters": {"engine_id": {"description": "The id the engine was enrolled under."}},
        "messages": _references("engine"),
        "bindings": {"ws": _upgrade(messages.SUBPROTOCOL, {"Authorization": "Bearer and the engine's token"})},
        "x-subprotocol": messages.SUBPROTOCOL,
        "x-max-frame-bytes": values.MAX_FRAME_BYTES,
        "x-max-depth": values.MAX_DEPTH,
        "x-close-codes": _close_codes(),
    }


def _ui_link() -> Schema:
    topics = {
        topic.value: {
            "delivery": ui.DELIVERY[topic].value,
            "item": {"$ref": f"#/components/schemas/{item_name(topic)}"},
            "key": list(ITEMS[topic].key),
        }
        for topic in ui.Topic
    }
    return {
        "address": "/ws",
        "title": "The dashboard link",
        "servers": [{"$ref": "#/servers/dashboard"}],
        "messages": _references("ui"),
        "bindings": {"ws": _upgrade(ui.SUBPROTOCOL, {})},
        "x-subprotocol": ui.SUBPROTOCOL,
        "x-max-frame-bytes": ui.MAX_FRAME_BYTES,
        "x-close-codes": _close_codes(),
        "x-topics": topics,
    }


def _upgrade(subprotocol: str, headers: Mapping[str, str]) -> Schema:
    properties: Schema = {name: {"type": "string", "description": doc} for name, doc in headers.items()}
    properties["Sec-WebSocket-Protocol"] = {"const": subprotocol}
    shape = {"type": "object", "properties": properties, "required": list(properties)}
    return {"method": "GET", "headers": shape, "bindingVersion": "0.1.0"}


def _close_codes() -> Schema:
    return {str(c.value): {"reason": c.reason, "reconnect": may_reconnect(c)} for c in CloseCode}


def _tables(link: str) -> dict[str, type]:
    return {kind: cls for side, table in DIRECTIONS.values() if side == link for kind, cls in table.items()}


def _references(link: str) -> Schema:
    return {kind: {"$ref": f"#/components/messages/{link}.{kind}"} for kind in _tables(link)}


def _messages(link: str) -> dict[str, Schema]:
    return {kind: _message(link, kind, cls) for kind, cls in _tables(link).items()}


def _message(link: str, kind: str, cls: type) -> Schema:
    found: Schema = {
        "name": kind,
        "title": cls.__name__,
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{frame_name(link, kind)}"},
    }
    if link == "engine":
        found["x-lane"] = LANES[cls].value
    return found


def _operations(direction: str) -> list[tuple[str, Schema]]:
    link, table = DIRECTIONS[direction]
    action = "receive" if direction.endswith("Up") else "send"
    found = []
    for kind, cls in table.items():
        operation: Schema = {
            "action": action,
            "channel": {"$ref": f"#/channels/{CHANNELS[link]}"},
            "messages": [_in_channel(link, kind)],
        }
        if answers := _answers(direction, kind, cls):
            operation["reply"] = {
                "channel": {"$ref": f"#/channels/{CHANNELS[link]}"},
                "messages": [_in_channel(link, answer) for answer in answers],
            }
        found.append((f"{action}.{link}.{kind}", operation))
    return found


def _answers(direction: str, kind: str, cls: type) -> tuple[str, ...]:
    if (direction, kind) in REPLIES:
        return REPLIES[direction, kind]
    return _NUMBERED_ANSWERS if cls in LANES and LANES[cls] is not Lane.CONTROL else ()


def _in_channel(link: str, kind: str) -> Schema:
    return {"$ref": f"#/channels/{CHANNELS[link]}/messages/{kind}"}
