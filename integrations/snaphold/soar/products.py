"""What a backup product's integration needs inside a SOAR beside its adapter: a configuration in memory, and no registers.

The assets of a call are workloads of the product by their name there, or by the name that a setting `workload.ASSET` gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from snaphold.errors import InputError
from snaphold.providers.base import Verb
from snaphold.soar.xsoar_text import plain

VERBS: Mapping[str, Verb] = {
    "backup.check_capacity": Verb.CAPACITY,
    "backup.check_health": Verb.CHECK_HEALTH,
    "backup.start": Verb.START,
    "backup.status": Verb.STATUS,
}
"""What an action asks of the product. What is done to a restore point needs the register, and so the service."""
POOL = "incident-storage"
"""The one pool that there is; it is the storage that the integration names."""
_WORKLOAD = "workload."
_NOT_NAMED = "not-named"


def named_assets(given: Mapping[str, Any], of_incident: Iterable[str]) -> list[str]:
    """Return the assets that a call is about: those that it names, else those of the incident. Raises InputError for none."""
    named = [str(given["asset"])] if given.get("asset") else [str(name) for name in given.get("assets") or of_incident]
    found = [name for name in dict.fromkeys(named) if name != _NOT_NAMED]
    if not found:
        raise InputError("no asset is named", "without the service nothing says what an incident has hit", "give the assets")
    return found


def parts_of(kind: str, integration: str, location: str, settings: Mapping[str, str], assets: Iterable[str]) -> dict[str, Any]:
    """Return pools and assets of the configuration. The product reads a setting where it belongs. Raises InputError."""
    if not location:
        raise InputError("no storage is named", "backups go into one storage of the product", "fill in its name")
    names = {name[len(_WORKLOAD) :]: value for name, value in settings.items() if name.startswith(_WORKLOAD)}
    wanted = [
        {
            "id": asset, "kind": "server", "tier": "T0", "owner": "SOAR",
            "protection": {"pool": POOL, "workloads": {integration: names[asset]} if asset in names else {}},
        }
        for asset in assets
    ]  # fmt: skip
    pool = {"name": POOL, "provider": kind, "location": location, "integration": integration, "settings": dict(settings)}
    return {"pools": [pool], "assets": wanted}


def require_own_pool(given: Mapping[str, Any]) -> None:
    """Refuse a pool that is not ours. Raises InputError."""
    pool = str(given.get("pool") or POOL)
    if pool != POOL:
        raise InputError(f"there is no pool {plain(pool)}", f"here there is {POOL} only", "take the pool that backup.start named")
