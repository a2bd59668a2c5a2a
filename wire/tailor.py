"""Code made to measure for every message class: what its fields are is asked once, not for every message.

A reader takes plain values to a message, a writer a message to its JSON text. Both know the common cases only. A reader
that meets anything else, or anything wrong, raises ``Doubt`` (or InvalidField, or KeyError): the codec's general way
then decides alone, and names what is wrong. So a reader may refuse what is sound, and never accepts what is not.
"""

import re
import types
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

import attrs

from wire.jsontext import MAX_INT, dumps, quote
from wire.schema import C, Validator, bare
from wire.stops import Scope

T = TypeVar("T")
Reader = Callable[[Any], Any]
Writer = Callable[[Any], str]
Hook = Callable[[Any, Any], Any]
_NULL = type(None)
_LARGEST = 1.7976931348623157e308


class Doubt(Exception):
    """Raised by a reader: ask the general way."""


def reader(cls: Any, hook_of: Callable[[Any], Hook], reader_of: Callable[[Any], Reader]) -> Reader | None:
    """A function from plain values to a valid ``cls``; None when ``cls`` is no ``@message``.

    ``hook_of`` gives the general way for any annotation, ``reader_of`` the reader of another message class.
    """
    fields = attrs.fields(cls)
    if not (_is_plain(cls) and all(_is_plain_field(f) for f in fields)):
        return None
    code = _Code()
    ways = _Ways(hook_of, reader_of)
    code.say("if type(value) is not dict: raise Doubt", "get = value.get")
    for number, field in enumerate(fields):
        _read_field(code, ways, field, f"v{number}")
    code.say("made = new(cls)")
    for number, field in enumerate(fields):
        code.say(f"{code.name(getattr(cls, field.name).__set__)}(made, v{number})")
    if hasattr(cls, "__attrs_post_init__"):
        code.say("made.__attrs_post_init__()")
    code.say("return made")
    read: Reader = code.function("value", cls=cls, new=cls.__new__, absent=object(), Doubt=Doubt)
    return read


def _is_plain(cls: Any) -> bool:
    return "__slots__" in vars(cls) and not hasattr(cls, "__attrs_pre_init__")


def _is_plain_field(field: "attrs.Attribute[Any]") -> bool:
    own_init = field.init and field.alias == field.name and field.converter is None
    return own_init and type(field.validator) in (Validator, _NULL) and not _factory(field)[1]


def _factory(field: "attrs.Attribute[Any]") -> tuple[Any, bool]:
    """What makes the default, and whether it wants the object that is being made."""
    default: Any = field.default
    return (default.factory, default.takes_self) if isinstance(default, attrs.Factory) else (None, False)  # type: ignore[arg-type]


@attrs.frozen
class _Ways:
    """How values of other types are read."""

    hook_of: Callable[[Any], Hook]
    reader_of: Callable[[Any], Reader]


def maker(cls: type[T]) -> Callable[..., T]:
    """``cls`` itself, for every field in its place and none checked: for frozen classes without rules of their own, of
    which there is one for every message. What attrs writes for a frozen class takes twice as long."""
    code, names = _Code(), [field.name for field in attrs.fields(cast("Any", cls))]
    code.say("made = new(cls)")
    for name in names:
        code.say(f"{code.name(getattr(cls, name).__set__)}(made, {name})")
    code.say("return made")
    make: Callable[..., T] = code.function(", ".join(names), cls=cls, new=cls.__new__)
    return make


class _Code:
    """The body of a function, and the objects that it speaks of."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._names: dict[str, Any] = {}
        self._indent = "    "

    def say(self, *lines: str) -> None:
        self._lines += [self._indent + line for line in lines]

    def within(self, line: str, write: Callable[[], None]) -> None:
        """A block under ``line``."""
        before = len(self._lines)
        self.say(line)
        self._indent += "    "
        write()
        self._indent = self._indent[:-4]
        if len(self._lines) == before + 1:
            self._lines[-1] += " pass"

    def call(self, name: str, thing: Any) -> str:
        self._names[name] = thing
        return name

    def name(self, thing: Any) -> str:
        return self.call(f"x{len(self._names)}", thing)

    def function(self, arguments: str, **names: Any) -> Any:
        space = {**self._names, **names}
        exec("\n".join([f"def tailored({arguments}):", *self._lines]), space)
        return space["tailored"]


# --- reading --------------------------------------------------------------------------------------------------------


def _read_field(code: _Code, ways: _Ways, field: "attrs.Attribute[Any]", v: str) -> None:
    key = repr(field.name)
    if field.default is attrs.NOTHING:
        code.say(f"{v} = value[{key}]")
        _check(code, ways, field.type, v, field.validator)
    elif field.default is None and _NULL in get_args(bare(field.type)):
        code.say(f"{v} = get({key})")
        _check(code, ways, field.type, v, field.validator)
    else:
        code.say(f"{v} = get({key}, absent)")
        factory, _ = _factory(field)
        make = f"{code.name(factory)}()" if factory else code.name(field.default)
        code.say(f"if {v} is absent: {v} = {make}")
        code.within("else:", lambda: _check(code, ways, field.type, v, field.validator))


def _check(code: _Code, ways: _Ways, annotation: Any, v: str, validator: Any) -> None:
    """Writes what makes of the plain value in the variable ``v`` a valid one, or raises."""
    if (option := _only_option(annotation)) is not None:
        code.within(f"if {v} is not None:", lambda: _check(code, ways, option, v, validator))
        return
    kind = bare(annotation)
    if not _check_simple(code, ways, kind, _constraints(annotation), v):
        code.say(f"{v} = {code.name(ways.hook_of(annotation))}({v}, {code.name(annotation)})")
        if validator is not None:
            code.say(f"{code.name(validator.checker)}({v})")


def _only_option(annotation: Any) -> Any:
    """``T`` of ``T | None``."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return None
    options = [a for a in get_args(annotation) if a is not _NULL]
    return options[0] if len(options) == 1 else None


def _constraints(annotation: Any) -> list[C]:
    return [m for m in annotation.__metadata__ if isinstance(m, C)] if get_origin(annotation) is Annotated else []


def _check_simple(code: _Code, ways: _Ways, kind: Any, constraints: list[C], v: str) -> bool:
    """False for what has no short way."""
    if kind is Any:
        return not constraints
    if kind is str:
        code.say(f"if {' or '.join([f'type({v}) is not str', *_text_doubts(code, constraints, v)])}: raise Doubt")
    elif kind is int:
        code.say(f"if type({v}) is not int or not {_range(constraints, v, MAX_INT)}: raise Doubt")
    elif kind is float:
        code.say(f"if type({v}) is int and {-MAX_INT} <= {v} <= {MAX_INT}: {v} = float({v})")
        code.say(f"elif type({v}) is not float: raise Doubt")
        code.say(f"if not {_range(constraints, v, _LARGEST)}: raise Doubt")
    elif constraints:
        return False
    elif kind is bool:
        code.say(f"if type({v}) is not bool: raise Doubt")
    elif kind is datetime:
        code.say(f"{v} = {code.name(ways.hook_of(datetime))}({v}, None)")
    elif _is_choice_of_texts(kind):
        code.say(f"if type({v}) is not str: raise Doubt")
        code.say(f"{v} = {code.name({member.value: member for member in kind}.get)}({v})")
        code.say(f"if {v} is None: raise Doubt")
    elif is_message(kind):
        code.say(f"{v} = {code.name(ways.reader_of(kind))}({v})")
    elif get_origin(kind) is list and is_message(item := get_args(kind)[0]):
        code.say(f"if type({v}) is not list: raise Doubt")
        code.say(f"{v} = [{code.name(ways.reader_of(item))}(item) for item in {v}]")
    else:
        return False
    return True


def _text_doubts(code: _Code, constraints: list[C], v: str) -> list[str]:
    doubts = []
    for c in constraints:
        if c.min_length is not None:
            doubts.append(f"len({v}) < {c.min_length}")
        if c.max_length is not None:
            doubts.append(f"len({v}) > {c.max_length}")
        if c.pattern is not None:
            doubts.append(f"{code.name(re.compile(c.pattern).fullmatch)}({v}) is None")
    return doubts


def _range(constraints: list[C], v: str, largest: float) -> str:
    """Every bound in one comparison; NaN and infinities are outside of it."""
    low = max([-largest, *(c.ge for c in constraints if c.ge is not None)])
    high = min([largest, *(c.le for c in constraints if c.le is not None)])
    text = f"{low!r} <= {v} <= {high!r}"
    text += "".join(f" and {v} > {c.gt!r}" for c in constraints if c.gt is not None)
    text += "".join(f" and {v} < {c.lt!r}" for c in constraints if c.lt is not None)
    return f"({text})"


def _is_choice_of_texts(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Enum) and all(type(m.value) is str for m in kind)


def is_message(kind: Any) -> bool:
    """A scope is a text, and everything else of attrs an object."""
    return isinstance(kind, type) and attrs.has(kind) and kind is not Scope


# --- writing --------------------------------------------------------------------------------------------------------


def writer(
    cls: Any,
    *,
    nulls: bool,
    plain_of: Callable[[Any], Callable[[Any], Any]],
    time_text: Callable[[datetime], str],
) -> Writer:
    """A function from a ``cls`` to its JSON text, which still may hold what no peer accepts (NUL, lone surrogates).

    ``plain_of`` gives the general way to plain values for any annotation. Without ``nulls`` an optional field that is
    None by default is left out.
    """
    if any(isinstance(field.type, str) for field in attrs.fields(cls)):
        attrs.resolve_types(cls)  # a class that holds itself
    code = _Code()
    for name, thing in (("quote", quote), ("dumps", dumps), ("time_text", time_text)):
        code.call(name, thing)
    always, sometimes = [], []
    for field in attrs.fields(cls):
        v = f"value.{field.name}"
        text = f"',{quote(field.name)}:' + {_written(code, field.type, v, plain_of)}"
        if field.default is None and not nulls:
            sometimes.append(f"('' if {v} is None else {text})")
        else:
            always.append(text)
    code.say(f"text = {' + '.join(always + sometimes) or repr('')}", "return '{' + text[1:] + '}'")
    write: Writer = code.function("value")
    return write


def _written(code: _Code, annotation: Any, v: str, plain_of: Callable[[Any], Callable[[Any], Any]]) -> str:
    """An expression for the text of the value ``v``."""
    if (option := _only_option(annotation)) is not None:
        return f"('null' if {v} is None else {_written(code, option, v, plain_of)})"
    kind = bare(annotation)
    if kind is str:
        return f"quote({v})"
    if kind is int:
        return f"(str({v}) if type({v}) is int else dumps({v}))"
    if kind is datetime:
        return f"('\"' + time_text({v}) + '\"')"
    if _is_choice_of_texts(kind):
        return f"quote({v}._value_)"
    return f"dumps({code.name(plain_of(annotation))}({v}))"
