"""Finds the adapter of a platform: the module in this folder that has its name and a `connect`."""

from __future__ import annotations

import importlib
import pkgutil
import re
from functools import cache
from typing import Any, cast

import snaphold.platforms
from snaphold.config import Configuration, Integration
from snaphold.errors import InputError
from snaphold.http_guard import CALLS_PER_RUN, CallBudget, budget_of
from snaphold.platforms.base import Platform, PlatformDescription, PlatformVerb
from snaphold.providers.base import Support
from snaphold.validation import suggest

_MODULE_NAME = re.compile(r"[a-z][a-z0-9_]*")


def platform_names() -> list[str]:
    """Return the names of all adapters, in order."""
    return list(_names())


@cache
def _names() -> tuple[str, ...]:
    """The folder does not change while a process runs, and every action of a platform asks."""
    modules = [info.name for info in pkgutil.iter_modules(snaphold.platforms.__path__)]
    return tuple(sorted(name for name in modules if hasattr(importlib.import_module(f"snaphold.platforms.{name}"), "connect")))


def describe_platforms() -> list[PlatformDescription]:
    """Return what each platform can do, in order of name; nothing is contacted."""
    return [
        cast("PlatformDescription", cast("Any", importlib.import_module(f"snaphold.platforms.{name}")).DESCRIPTION)
        for name in platform_names()
    ]


def open_platform(integration: Integration, configuration: Configuration, run: str = "") -> Platform:
    """Return the adapter of an integration with its credentials; nothing is contacted yet.

    Raises InputError when there is no such kind, or a credential or setting is missing.
    """
    names = platform_names()
    if not _MODULE_NAME.fullmatch(integration.kind) or integration.kind not in names:
        why = suggest(integration.kind, names) or f"known: {', '.join(names)}"
        raise InputError(f"{integration.name} is of an unknown kind {integration.kind!r}", why, "correct kind in snaphold.yaml")
    module = cast("Any", importlib.import_module(f"snaphold.platforms.{integration.kind}"))
    budget: CallBudget = budget_of(run, integration.name, integration.calls_per_run or CALLS_PER_RUN)
    return cast("Platform", module.connect(integration, configuration, budget))


def kinds_able(verb: PlatformVerb) -> set[str]:
    """Return the kinds of integration that can do `verb`, at least in part."""
    return {item.platform for item in describe_platforms() if item.capabilities[verb].support is not Support.UNSUPPORTED}


def open_able(configuration: Configuration, verb: PlatformVerb, name: str = "", run: str = "") -> tuple[str, Platform]:
    """Return the name and the adapter of the integration that `choose_integration` chooses; nothing is contacted yet.

    Raises InputError, as that and `open_platform` do.
    """
    integration = choose_integration(configuration, verb, name)
    return integration.name, open_platform(integration, configuration, run)


def choose_integration(configuration: Configuration, verb: PlatformVerb, name: str = "") -> Integration:
    """Return the integration called `name`, or without a name the only one that can do `verb`.

    Raises InputError when there is none, or when the choice is not clear.
    """
    known = [item.name for item in configuration.integrations]
    if name:
        for item in configuration.integrations:
            if item.name == name:
                return item
        why = suggest(name, known) or f"configured: {', '.join(known) or 'none'}"
        raise InputError(f"there is no integration {name!r}", why, "add it under integrations in snaphold.yaml")
    able = kinds_able(verb)
    fitting = [item for item in configuration.integrations if item.kind in able]
    if len(fitting) == 1:
        return fitting[0]
    named = ", ".join(item.name for item in fitting)
    raise InputError(
        f"{'no' if not fitting else 'more than one'} integration can do {verb.value.replace('_', ' ')}",
        f"fitting: {named}" if named else f"kinds that can: {', '.join(sorted(able))}",
        "name one of them" if fitting else "add one under integrations in snaphold.yaml",
    )
