"""Finds the simulators: the modules in this folder that have a class `Simulator`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

import snaphold.simulators
from snaphold.errors import InputError
from snaphold.simulators.base import Stateful
from snaphold.validation import suggest


def simulators() -> dict[str, type[Stateful]]:
    """Return every simulator by name, in order of name."""
    found: dict[str, type[Stateful]] = {}
    for info in sorted(pkgutil.iter_modules(snaphold.simulators.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"snaphold.simulators.{info.name}")
        if hasattr(module, "Simulator"):
            found[info.name] = cast("type[Stateful]", module.Simulator)
    return found


def find_simulator(name: str) -> type[Stateful]:
    """Return the simulator called `name`. Raises InputError with the nearest name when there is none."""
    known = simulators()
    if name not in known:
        raise InputError(f"there is no simulator {name!r}", suggest(name, list(known)) or f"known: {', '.join(known)}")
    return known[name]
