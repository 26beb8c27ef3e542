"""Actions that run at a vendor's system from inside a SOAR, without the Snaphold service: which, and by what settings.

The vendors are platforms and backup products. Their actions need nothing but HTTPS, and are repeatable through the vendor's
own lookup: before a write the adapter looks for what an earlier attempt left, by its key. What needs the audit trail or its
registers refuses and names the service.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn, cast

from snaphold.action import AnyAction, catalogue, find_action
from snaphold.clock import Clock, SystemClock
from snaphold.config import Configuration
from snaphold.context import Context
from snaphold.domain.incident import Incident
from snaphold.domain.people import Actor
from snaphold.errors import InputError
from snaphold.execute import validate
from snaphold.fields import FieldShape, fields_of
from snaphold.platforms.base import PlatformDescription, PlatformVerb
from snaphold.platforms.credentials import NOT_SECRET
from snaphold.providers.base import Description, Support
from snaphold.recorded import redact_document
from snaphold.secrets import remember
from snaphold.soar import products
from snaphold.soar.answers import Job
from snaphold.soar.vendor_clock import clock_fault
from snaphold.soar.xsoar_text import plain

VERBS: Mapping[str, PlatformVerb] = {
    "change.check_standard": PlatformVerb.CHECK_STANDARD_CHANGE,
    "change.close": PlatformVerb.CLOSE_CHANGE,
    "change.open_emergency": PlatformVerb.OPEN_CHANGE,
    "incident.add_note": PlatformVerb.ADD_NOTE,
    "incident.read": PlatformVerb.READ_INCIDENT,
    "incident.set_status": PlatformVerb.SET_STATUS,
}
"""What an action asks of the platform. Only these do without what a ledger knows; a new one is added here."""
CHOSEN = frozenset({"integration", "pool", "storage"})
"""The inputs that choose among several integrations or pools; here there is one. They are left out unless required."""
_NAME = "here"


@dataclass(frozen=True)
class Vendor:
    """A vendor whose integration travels in the packs: its credentials by name, whether needed, and what each is.

    `unused` are credentials that only what needs the service would use; that they lack is no fault here.
    """

    kind: str
    title: str
    url: str
    credentials: Mapping[str, tuple[bool, str]]
    unused: tuple[str, ...] = ()
    storage: str = ""
    """What a backup product calls the storage that takes the backups; empty for a platform."""
    example: str = ""
    """The name of such a storage."""

    @property
    def work(self) -> str:
        """What is worked with at the vendor."""
        return "backups" if self.storage else "incidents and changes"

    @property
    def lacks(self) -> str:
        """What needs the service."""
        return f"{'Publications, marks of infection' if self.storage else 'Backups'}, evidence, holds and approvals"


_USER = {"username": (True, "User"), "password": (True, "Password")}
VENDORS: Mapping[str, Vendor] = {
    "commvault": Vendor(
        "commvault", "Commvault", "https://commvault.example.org/webconsole/api", _USER,
        storage="Storage pool", example="Isolated 01",
    ),
    "pagerduty": Vendor(
        "pagerduty", "PagerDuty", "https://api.pagerduty.com", {"token": (True, "REST API token")}, ("routing_key",),
    ),
    "servicenow": Vendor(
        "servicenow", "ServiceNow", "https://example.service-now.com",
        {**_USER, "client_id": (False, "OAuth client"), "client_secret": (False, "OAuth client secret")},
    ),
    "veeam": Vendor(
        "veeam", "Veeam", "https://veeam.example.org:9419", _USER, storage="Repository", example="Incident 01",
    ),
}  # fmt: skip


def actions_of(kind: str) -> dict[str, AnyAction]:
    """Return the actions that a vendor's system can do from inside a SOAR, in order of name."""
    known = catalogue()
    if VENDORS[kind].storage:
        product = cast("Description", _adapter(kind).DESCRIPTION).capabilities
        return {name: known[name] for name, verb in products.VERBS.items() if product[verb].support is not Support.UNSUPPORTED}
    able = cast("PlatformDescription", _adapter(kind).DESCRIPTION).capabilities
    return {name: known[name] for name, verb in VERBS.items() if able[verb].support is not Support.UNSUPPORTED}


def _adapter(kind: str) -> Any:
    return importlib.import_module(adapter_module(kind))


def adapter_module(kind: str) -> str:
    """Return the name of the module that speaks to a vendor's system."""
    return f"snaphold.{'providers' if VENDORS[kind].storage else 'platforms'}.{kind}"


def inputs_of(entry: AnyAction) -> list[FieldShape]:
    """Return the inputs of an action as they are asked for here: without a choice where there is only one."""
    return [shape for shape in fields_of(entry.request) if shape.name not in left_out(entry)]


def left_out(entry: AnyAction) -> set[str]:
    """Return the inputs of an action that are not asked for here."""
    return {shape.name for shape in fields_of(entry.request) if shape.name in CHOSEN and not shape.required}


def brand(kind: str) -> str:
    """Return what a vendor's integration or app is called, without a space: it also names files."""
    return f"Snaphold{VENDORS[kind].title}"


def read_settings(text: str) -> dict[str, str]:
    """Return the settings of a text box, one NAME=VALUE a line; a SOAR may fold the lines into commas.

    A name that is there again has several values, with commas between. Raises InputError.
    """
    lines = [line.strip() for line in text.replace(",", "\n").splitlines()]
    pairs = [line.partition("=") for line in lines if line]
    wrong = [line for line, mark, value in pairs if not mark or not value.strip()]
    if wrong:
        raise InputError(f"the setting {plain(wrong[0])} has no value", None, "write NAME=VALUE, one a line")
    found: dict[str, str] = {}
    for name, _, value in pairs:
        before = found.get(name.strip())
        found[name.strip()] = f"{before},{value.strip()}" if before else value.strip()
    return found


class NoLedger:
    """Stands where the ledger would be. It has no records, for actions that only look whether a register knows more.

    Whoever asks it for anything else hears that the service is needed.
    """

    def record(self, *_asked: Any) -> None:
        """Return that there is no such record."""

    def records(self, *_asked: Any) -> list[Any]:
        """Return no records."""
        return []

    def __getattr__(self, name: str) -> NoReturn:
        raise InputError(
            "this needs the Snaphold service",
            "it works with the audit trail and its registers, which are not kept inside a SOAR",
            "use the integration Snaphold, with a service",
        )


@dataclass(frozen=True)
class Direct:
    """Carries out actions at one vendor's system in this process; takes the place of the client of the service.

    `timeout` is the longest wait for one answer of the vendor; `location` the storage of a backup product.
    """

    kind: str
    url: str
    credentials: Mapping[str, str]
    settings: Mapping[str, str]
    ca_file: str = ""
    clock: Clock = field(default_factory=SystemClock)
    timeout: timedelta = timedelta(seconds=20)
    location: str = ""

    def __post_init__(self) -> None:
        """Hide the credentials from now on, and refuse when one that is needed is missing. Raises InputError."""
        for name, (needed, title) in VENDORS[self.kind].credentials.items():
            if needed and not self.credentials.get(name):
                raise InputError(f"{title} is missing", "none was given", "fill it in")
        for name, secret in self.credentials.items():
            if secret and name not in NOT_SECRET:
                remember(secret)

    def call(
        self, action: str, given: Mapping[str, Any], *, key: str = "", justification: str = "",
        incident: Incident | Mapping[str, Any] | str = "", wait: bool = True,
    ) -> dict[str, Any] | Job:  # fmt: skip
        """Carry out an action and return its result. Raises what the adapter raises; see `ServiceClient.call`."""
        del wait  # nothing here outlasts a call
        if action not in actions_of(self.kind):
            raise InputError(f"{self.kind} cannot do {action}", None, "use the integration Snaphold, with a service")
        entry = find_action(action)
        request = validate(entry, {name: given[name] for name in given if name not in left_out(entry)})
        about, assets = self._incident(incident), list[str]()
        if VENDORS[self.kind].storage:
            products.require_own_pool(given)
            assets = products.named_assets(request.model_dump(), about.assets)
        with self._configured(assets) as configuration:
            context = Context(
                configuration, about.model_copy(update={"assets": tuple(assets)}) if assets else about,
                Actor(id="soar", name="SOAR", roles=()), self.clock,
                cast("Any", NoLedger()), justification=justification, key=key,
            )  # fmt: skip
            result = entry.function(request, context)
        return redact_document(result.model_dump(mode="json"))

    def job(self, id: str) -> Job:
        """Refuse: without the service nothing is a job."""
        raise InputError(f"there is no job {id!r}", "jobs are of the Snaphold service")

    def check(self) -> tuple[str, tuple[str, ...]]:
        """Return as whom we are signed in, and what is amiss: missing rights, the storage, the clock. Never changes anything."""
        with self._configured() as configuration:
            signed_in_as, missing = self._check_sign_in(configuration)
        wrong_clock = clock_fault(self.url, self.ca_file, self.timeout, self.clock)
        return signed_in_as, (*missing, wrong_clock) if wrong_clock else missing

    def _check_sign_in(self, configuration: Configuration) -> tuple[str, tuple[str, ...]]:
        if VENDORS[self.kind].storage:
            return self._check_product(configuration)
        from snaphold.platforms.registry import open_platform

        found = open_platform(configuration.integrations[0], configuration).check()
        unused = tuple(f"no {name}:" for name in VENDORS[self.kind].unused)
        return found.signed_in_as, tuple(one for one in found.missing if not one.startswith(unused or ("\0",)))

    def _check_product(self, configuration: Configuration) -> tuple[str, tuple[str, ...]]:
        """Sign in at a backup product, and look at the storage that takes the backups."""
        from snaphold.providers.registry import open_provider

        found = _adapter(self.kind).check_connection(configuration.integrations[0], configuration)
        health = open_provider(configuration.pools[0], configuration, "CHECK", self.clock).check_health()
        return found.signed_in_as, (*found.missing, *health.reasons)

    def _incident(self, given: Incident | Mapping[str, Any] | str) -> Incident:
        if isinstance(given, Incident):
            return given
        if isinstance(given, Mapping):
            return Incident.model_validate(given)
        told = {"id": given, "title": given, "severity": 3, "category": "unclassified", "source": "soar"}
        return Incident.model_validate({**told, "declared_at": self.clock.now(), "assets": ["not-named"]})

    @contextmanager
    def _configured(self, assets: Iterable[str] = ()) -> Generator[Configuration]:
        """Give the configuration with this one integration. Secrets are references everywhere, so they pass by name."""
        given = {name: value for name, value in self.credentials.items() if value}
        # Named anew for each call: a container may work for two accounts at once, in threads of one process.
        call = secrets.token_hex(8).upper()
        references = {name: f"SNAPHOLD_{self.kind.upper()}_{name.upper()}_{call}" for name in given}
        document: dict[str, Any] = {
            "organisation": {"name": "SOAR"},
            "tiers": [{"id": "T0", "level": 0, "impact": "Not judged here.", "rto": "1h", "rpo": "1h"}],
            "integrations": [
                {
                    "name": _NAME, "kind": self.kind, "url": self.url, "settings": dict(self.settings), "ca_file": self.ca_file,
                    "timeout": f"{int(self.timeout.total_seconds())}s",
                    "credentials": {name: f"env:{reference}" for name, reference in references.items()},
                }
            ],
        }  # fmt: skip
        if VENDORS[self.kind].storage:
            document |= products.parts_of(self.kind, _NAME, self.location, self.settings, assets)
        os.environ.update({reference: given[name] for name, reference in references.items()})
        try:
            yield Configuration.model_validate(document)
        finally:
            for reference in references.values():
                os.environ.pop(reference, None)
