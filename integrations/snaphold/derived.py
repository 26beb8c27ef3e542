"""What is derived from a configuration once, and asked for thousands of times: an index, the tiers of all assets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

Value = TypeVar("Value")


class Derived:
    """Derived values by name, each kept as long as its basis is the same. Two of these are always equal: they say nothing."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[tuple[object, ...], Any]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Derived)

    def __hash__(self) -> int:
        return hash(Derived)

    def get(self, name: str, basis: tuple[object, ...], make: Callable[[], Value]) -> Value:
        """Return what `make` derives from `basis`, made anew only when the basis is another one."""
        kept = self._kept.get(name)
        if kept is None or kept[0] != basis:
            kept = self._kept[name] = (basis, make())
        return cast("Value", kept[1])
