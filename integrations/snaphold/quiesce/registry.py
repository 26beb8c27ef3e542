"""Finds quiesce adapters: each module in this folder that has `open_adapter(clock)` is one, under its own name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache

from snaphold.clock import Clock, SystemClock
from snaphold.documents import suggest
from snaphold.errors import InputError
from snaphold.quiesce.base import Quiescer


@cache
def _adapters() -> Mapping[str, Callable[[Clock], Quiescer]]:
    import snaphold.quiesce

    found: dict[str, Callable[[Clock], Quiescer]] = {}
    for module_info in pkgutil.iter_modules(snaphold.quiesce.__path__):
        module = importlib.import_module(f"snaphold.quiesce.{module_info.name}")
        if hasattr(module, "open_adapter"):
            found[module_info.name.replace("_", "-")] = module.open_adapter
    return found


def adapter_names() -> tuple[str, ...]:
    """Return the names of all quiesce adapters, in order of name."""
    return tuple(sorted(_adapters()))


def adapter_proofs() -> dict[str, str]:
    """Return how each adapter was proved (`real system`, `transcript grammar only`, ...), by name."""
    return {name: open_quiescer(name).describe().proved_on for name in adapter_names()}


def open_quiescer(name: str, clock: Clock | None = None) -> Quiescer:
    """Return the adapter called `name`, made by its module's `open_adapter(clock)`.

    Raises InputError, with the nearest name, when there is none.
    """
    if name not in adapter_names():
        known = ", ".join(adapter_names())
        why = " ".join(part for part in (suggest(name, adapter_names()), f"known: {known}") if part)
        raise InputError(f"there is no quiesce adapter {name!r}", why, "correct application.quiesce in snaphold.yaml")
    return _adapters()[name](clock or SystemClock())
