"""Every message class there is: what goes over the links, over REST and to the screens, and what they carry inside."""

import importlib
import pkgutil

import attrs

import wire.rest
from wire.items import Item
from wire.schema import C
from wire.stops import Entry, Register, Scope

NAMES = ["stops", "messages", "parts", "ui", "items", "vocabulary", "quarantine"]
NAMES += [f"rest.{module.name}" for module in pkgutil.iter_modules(wire.rest.__path__)]
MODULES = [importlib.import_module(f"wire.{name}") for name in NAMES]
MESSAGES = sorted(
    {
        cls
        for module in MODULES
        for cls in vars(module).values()
        if isinstance(cls, type)
        and attrs.has(cls)
        and cls not in (C, Scope, Entry, Register, Item)
        and not cls.__name__.startswith("_")
    },
    key=lambda cls: cls.__name__,
)
