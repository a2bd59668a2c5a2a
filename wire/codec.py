"""JSON at the border: text from anyone in, valid messages out, and back.

Two stages, both strict. ``parse`` hardens ``json.loads``. ``structure`` never converts a value into another: ``true``
is not 1, ``5.0`` is not 5, ``"false"`` is not a boolean. Unknown fields are ignored: a newer peer may say more.

Every failure is a ``WireError`` that names the field by its path (``stops[0].level``) and never its value.
"""

import re
import types
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

import attrs
import msgspec
from cattrs import Converter
from cattrs.gen import make_dict_unstructure_fn, override

from wire.errors import InvalidField
from wire.jsontext import MAX_BYTES, MAX_DEPTH, MAX_INT, dump, is_sound, parse
from wire.schema import bare, key_path
from wire.stops import Scope
from wire.tailor import Doubt, Reader, Writer, is_message, reader, writer

__all__ = ["decode", "dump", "encode", "parse", "structure", "time_text", "unstructure", "warm_up"]

T = TypeVar("T")

Hook = Callable[[Any, Any], Any]


def decode(text: str | bytes, cls: type[T], *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> T:
    """The message in ``text``. Raises Malformed, TooLarge or InvalidField."""
    return structure(parse(text, max_bytes=max_bytes, max_depth=max_depth), cls)


def encode(obj: Any, *, nulls: bool = False) -> str:
    """The JSON text of a message. An optional field that is None by default is left out unless ``nulls``.

    Text that no peer would accept (NUL, lone surrogates) is replaced by U+FFFD: a log line must not poison the link.
    """
    write = (_writers_with_nulls if nulls else _writers).get(type(obj))
    if write is None:
        write = _writer_of(type(obj), nulls=nulls)
    text = write(obj)
    return text if is_sound(text) else dump(unstructure(obj, nulls=nulls))


def structure(value: Any, cls: type[T]) -> T:
    """A message from plain values. Raises InvalidField naming the path of what is wrong."""
    result: T
    try:
        result = (_readers.get(cls) or _reader_of(cls))(value)
        return result
    except (Doubt, InvalidField, KeyError):
        pass
    result = strictly_structured(value, cls)  # it decides, and says what is wrong
    return result


def strictly_structured(value: Any, cls: type[T]) -> T:
    """``structure`` without its short way."""
    result: T = _structure_hook(cls)(value, cls)
    return result


def unstructure(obj: Any, *, nulls: bool = False) -> Any:
    """Plain values (dict, list, str, int, float, bool, None) that ``structure`` turns back into an equal message."""
    return (_with_nulls if nulls else _without_nulls).unstructure(obj)


def warm_up(*classes: type) -> None:
    """Generates the code for ``classes`` now instead of when the first message arrives."""
    for cls in classes:
        if cls not in _readers:
            _reader_of(cls)
            for nulls in (False, True):
                _writer_of(cls, nulls=nulls)


# --- values in ------------------------------------------------------------------------------------------------------

_is_time = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,29})(\.\d{1,18})?", re.ASCII)


def _structure_bool(value: Any, _: Any) -> bool:
    if type(value) is not bool:
        raise InvalidField("must be true or false")
    return value


def _structure_int(value: Any, _: Any) -> int:
    if type(value) is not int:
        raise InvalidField("must be an integer")
    if abs(value) > MAX_INT:
        raise InvalidField("must fit in 64 bits")
    return value


def _structure_float(value: Any, _: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise InvalidField("must be a number")
    if (type(value) is int and abs(value) > MAX_INT) or not isfinite(value):
        raise InvalidField("must be a finite number")
    return float(value)


def _structure_number(value: Any, _: Any) -> int | float:
    return value if type(value) is int and abs(value) <= MAX_INT else _structure_float(value, float)


def _structure_str(value: Any, _: Any) -> str:
    if type(value) is not str:
        raise InvalidField("must be a string")
    return value


def _structure_datetime(value: Any, _: Any) -> datetime:
    if type(value) is not str:
        raise InvalidField("must be an RFC 3339 time with an offset")
    if not _is_time(value) and not _is_time(value := value.upper()):
        raise InvalidField("must be an RFC 3339 time with an offset")
    try:
        time = datetime.fromisoformat(value)
        return time if time.tzinfo is UTC else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidField("must be an RFC 3339 time with an offset") from None


def _structure_date(value: Any, _: Any) -> date:
    if type(value) is not str or not _DATE.fullmatch(value):
        raise InvalidField("must be a date, YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise InvalidField("must be a date, YYYY-MM-DD") from None


def _structure_decimal(value: Any, _: Any) -> Decimal:
    if type(value) is not str or not _DECIMAL.fullmatch(value):
        raise InvalidField("must be a decimal number in a string")
    return Decimal(value)


def _structure_scope(value: Any, _: Any) -> Scope:
    if type(value) is not str:
        raise InvalidField("must be a string")
    return Scope.parse(value)


def _structure_any(value: Any, _: Any) -> Any:
    return value


def _enum_hook(cls: type[Enum]) -> Hook:
    return _choice_hook({member.value: member for member in cls})


def _literal_hook(cls: Any) -> Hook:
    return _choice_hook({value: value for value in get_args(cls)})


def _choice_hook(choices: dict[Any, Any]) -> Hook:
    words = "must be one of " + ", ".join(str(value) for value in choices)
    kinds = {type(value) for value in choices}

    def choose(value: Any, _: Any) -> Any:
        if type(value) not in kinds or value not in choices:
            raise InvalidField(words)
        return choices[value]

    return choose


def _list_hook(cls: Any) -> Hook:
    item_type = get_args(cls)[0]
    item_hook = _structure_hook(item_type)
    make: Callable[[list[Any]], Any] = tuple if get_origin(cls) is tuple else _same

    def structure_list(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise InvalidField("must be a list")
        items: list[Any] = []
        try:
            for item in value:
                items.append(item_hook(item, item_type))  # how many there are says which item failed
        except InvalidField as error:
            raise error.within(f"[{len(items)}]") from None
        return make(items)

    return structure_list


def _same(items: list[Any]) -> Any:
    return items


def _dict_hook(cls: Any) -> Hook:
    key_type, item_type = get_args(cls)
    if str not in _kinds(bare(key_type)):
        raise TypeError("the keys of a JSON object are strings")
    key_hook, item_hook = _structure_hook(key_type), _structure_hook(item_type)

    def structure_dict(value: Any, _: Any) -> dict[Any, Any]:
        if type(value) is not dict:
            raise InvalidField("must be an object")
        entries = {}
        for key, item in value.items():
            try:
                entries[key_hook(key, key_type)] = item_hook(item, item_type)
            except InvalidField as error:
                raise error.within(key_path(key)) from None
        return entries

    return structure_dict


def _class_hook(cls: Any) -> Hook:
    fields = [
        (f.name, f.type, _structure_hook(f.type), f.default is attrs.NOTHING) for f in attrs.fields(cls) if f.init
    ]

    def structure_class(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise InvalidField("must be an object")
        arguments = {}
        for name, field_type, hook, required in fields:
            if name in value:
                try:
                    arguments[name] = hook(value[name], field_type)
                except InvalidField as error:
                    raise error.within(name) from None
            elif required:
                raise InvalidField("is required", field=name)
        return cls(**arguments)

    return structure_class


def _union_hook(cls: Any) -> Hook:
    """Chooses by the JSON kind of the value, so no two options of a union may be written alike."""
    options = [a for a in get_args(cls) if a is not type(None)]
    bares = {bare(a) for a in options}
    by_kind: dict[type, tuple[Any, Hook]] = {}
    if bares == {int, float}:
        by_kind = dict.fromkeys((int, float), (float, _structure_number))
    else:
        for option in options:
            for kind in _kinds(bare(option)):
                if kind in by_kind:
                    raise TypeError(f"{cls} is ambiguous in JSON")
                by_kind[kind] = (option, _structure_hook(option))
    nullable = len(options) < len(get_args(cls))
    only = next(iter(by_kind.values())) if len({id(hook) for _, hook in by_kind.values()}) == 1 else None

    def structure_union(value: Any, _: Any) -> Any:
        if value is None and nullable:
            return None
        option, hook = only or by_kind.get(type(value)) or (None, _refuse)
        return hook(value, option)

    return structure_union


def _refuse(_value: Any, _: Any) -> NoReturn:
    raise InvalidField("is of a type that may not stand here")


def _kinds(option: Any) -> tuple[type, ...]:
    origin = get_origin(option) or option
    if origin in (int, bool, str):
        return (origin,)
    if origin is float:
        return (int, float)
    if origin in (list, tuple):
        return (list,)
    if origin is dict or is_message(origin):
        return (dict,)
    return (str,)


# --- values out -----------------------------------------------------------------------------------------------------


def time_text(value: datetime) -> str:
    """RFC 3339 in UTC with six decimals and ``Z``: one form, so texts sort like times."""
    text = _write_time(value if value.tzinfo is UTC else value.astimezone(UTC)).decode()
    return text[1:-1] if len(text) == _WHOLE_TIME else text[1:-2] + ".000000Z"


_write_time = msgspec.json.Encoder().encode
_WHOLE_TIME = len('"2026-11-21T09:00:00.000001Z"')


def _decimal_text(value: Decimal) -> str:
    return format(value, "f")


def _enum_value(value: Enum) -> Any:
    return value.value


def _plain(value: Any) -> Any:
    return value


def _is_enum(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, Enum)


def _is_union(cls: Any) -> bool:
    return get_origin(cls) in (Union, types.UnionType)


def _is_list(cls: Any) -> bool:
    return get_origin(cls) in (list, tuple)


def _is_scalar_union(cls: Any) -> bool:
    return _is_union(cls) and {bare(a) for a in get_args(cls)} <= {int, float, str, bool, type(None)}


def _converter(*, nulls: bool) -> Converter:
    converter = Converter(detailed_validation=False)
    for scalar, hook in _SCALARS.items():
        converter.register_structure_hook(scalar, hook)
    converter.register_structure_hook_func(lambda t: t is Any, _structure_any)
    factories: tuple[tuple[Callable[[Any], bool], Callable[[Any], Hook]], ...] = (
        (is_message, _class_hook),
        (_is_enum, _enum_hook),
        (_is_list, _list_hook),
        (lambda t: get_origin(t) is dict, _dict_hook),
        (lambda t: get_origin(t) is Literal, _literal_hook),
        (_is_union, _union_hook),
    )
    for predicate, factory in factories:
        converter.register_structure_hook_factory(predicate, factory)

    def write_class(cls: Any) -> Callable[[Any], dict[str, Any]]:
        quiet = {f.name: override(omit_if_default=True) for f in attrs.fields(cls) if f.default is None and not nulls}
        return make_dict_unstructure_fn(cls, converter, **quiet)  # type: ignore[arg-type]

    def write_optional(cls: Any) -> Callable[[Any], Any]:
        options = [a for a in get_args(cls) if a is not type(None)]
        if len(options) > 1:
            return lambda value: converter.unstructure(value)
        write = converter.get_unstructure_hook(options[0])
        return lambda value: None if value is None else write(value)

    converter.register_unstructure_hook_factory(is_message, write_class)
    converter.register_unstructure_hook_factory(_is_enum, lambda _: _enum_value)
    converter.register_unstructure_hook_factory(_is_union, write_optional)
    converter.register_unstructure_hook_factory(_is_scalar_union, lambda _: _plain)
    converter.register_unstructure_hook(datetime, time_text)
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_unstructure_hook(Decimal, _decimal_text)
    converter.register_unstructure_hook(Scope, str)
    return converter


_SCALARS: dict[Any, Hook] = {
    bool: _structure_bool,
    int: _structure_int,
    float: _structure_float,
    str: _structure_str,
    datetime: _structure_datetime,
    date: _structure_date,
    Decimal: _structure_decimal,
    Scope: _structure_scope,
}
_without_nulls = _converter(nulls=False)
_with_nulls = _converter(nulls=True)
_structure_hook: Callable[[Any], Hook] = _without_nulls.get_structure_hook


# --- made to measure ------------------------------------------------------------------------------------------------

_readers: dict[Any, Reader] = {}
_writers: dict[type, Writer] = {}
_writers_with_nulls: dict[type, Writer] = {}


def _reader_of(cls: Any) -> Reader:
    read = reader(cls, _structure_hook, _reader_of) if is_message(cls) else None
    if read is None:
        hook = _structure_hook(cls)
        read = lambda value: hook(value, cls)  # noqa: E731
    return _readers.setdefault(cls, read)


def _writer_of(cls: type, *, nulls: bool) -> Writer:
    converter = _with_nulls if nulls else _without_nulls
    if is_message(cls):
        write = writer(cls, nulls=nulls, plain_of=converter.get_unstructure_hook, time_text=time_text)
    else:
        write = lambda value: dump(converter.unstructure(value))  # noqa: E731
    return (_writers_with_nulls if nulls else _writers).setdefault(cls, write)
