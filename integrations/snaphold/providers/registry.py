"""Finds the adapter of a backup engine or product: the module in this folder that has its name and a `connect`."""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType
from typing import TYPE_CHECKING, cast

import snaphold.providers
from snaphold.clock import Clock
from snaphold.config import Configuration, Integration, Pool
from snaphold.documents import suggest
from snaphold.errors import InputError

if TYPE_CHECKING:
    from snaphold.platforms.base import Reachability
    from snaphold.providers.base import Description, Provider
    from snaphold.providers.local_repository import LocalRepository
    from snaphold.providers.place import RepositoryPlace

_MODULE_NAME = re.compile(r"[a-z][a-z0-9_]*")


def provider_names() -> list[str]:
    """Return the names of all adapters, in order."""
    modules = [info.name for info in pkgutil.iter_modules(snaphold.providers.__path__)]
    return sorted(name for name in modules if hasattr(importlib.import_module(f"snaphold.providers.{name}"), "connect"))


def product_names() -> list[str]:
    """Return the names of the adapters that are reached through an integration, in order."""
    return [name for name in provider_names() if hasattr(importlib.import_module(f"snaphold.providers.{name}"), "DESCRIPTION")]


def describe_products() -> list[Description]:
    """Return what each backup product can do, in order of name; nothing is contacted."""
    return [cast("Description", importlib.import_module(f"snaphold.providers.{name}").DESCRIPTION) for name in product_names()]


def check_connection(integration: Integration, configuration: Configuration) -> Reachability:
    """Return as whom we are signed in at a backup product, and which rights lack. Never changes anything.

    Raises InputError when there is no product of the integration's kind, else what the adapter raises.
    """
    names = product_names()
    if integration.kind not in names:
        why = suggest(integration.kind, names) or f"known: {', '.join(names)}"
        raise InputError(f"{integration.name} is of an unknown kind {integration.kind!r}", why, "correct kind in snaphold.yaml")
    module = importlib.import_module(f"snaphold.providers.{integration.kind}")
    return cast("Reachability", module.check_connection(integration, configuration))


def provider_proofs() -> dict[str, str]:
    """Return how each adapter was proved (`real system`, `vendor specification enforced`, ...), by name."""
    return {name: str(importlib.import_module(f"snaphold.providers.{name}").PROVED_ON) for name in provider_names()}


def open_provider(pool: Pool, configuration: Configuration, incident_id: str, clock: Clock) -> Provider:
    """Return the pool's provider, set on the incident's own repository; nothing is created or contacted yet.

    Raises InputError, with the nearest name, when there is no such provider.
    """
    return cast("Provider", _adapter(pool).connect(pool, configuration, incident_id, clock))


def open_local(place: RepositoryPlace, clock: Clock) -> LocalRepository:
    """Return the provider of a pool whose engine runs on this machine, as its detached job needs it."""
    module = _adapter(place.pool)
    if not hasattr(module, "LOCAL"):
        raise InputError(f"the provider {place.pool.provider!r} does not run on this machine")
    return cast("LocalRepository", module.LOCAL(place, clock))


def _adapter(pool: Pool) -> ModuleType:
    name = pool.provider
    if _MODULE_NAME.fullmatch(name):
        try:
            module = importlib.import_module(f"snaphold.providers.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"snaphold.providers.{name}":
                raise
        else:
            if hasattr(module, "connect"):
                return module
    known = provider_names()
    why = suggest(name, known) or f"known: {', '.join(known)}"
    raise InputError(f"there is no provider {name!r} (pool {pool.name!r})", why, "correct provider in snaphold.yaml")
