"""A catalogue with the names and outputs of the real actions, for tests of playbooks that must not run anything."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model

from snaphold.action import AnyAction, Effect, Names, Needs, Recovery, Request, Result, action, describe
from snaphold.domain.outcome import Outcome

if TYPE_CHECKING:
    from snaphold.context import Context

READS, WRITES, DESTROYS = Effect.READS, Effect.WRITES, Effect.DESTROYS
LOOKS_UP, IDEMPOTENT, PERSON = Recovery.LOOKS_UP, Recovery.IDEMPOTENT, Recovery.PERSON


class Content(str, Enum):
    """What a package holds."""

    FULL = "full"
    INVENTORY = "inventory"


class Storage(str, Enum):
    """Which pools may be used."""

    ROUTED = "routed"
    ALTERNATE = "alternate"


State = Literal["running", "done", "failed"]
Answered = Literal["waiting", "acknowledged", "overdue"]
Status = Literal["verified", "failed", "incomplete", "unverifiable"]
_ASSETS: dict[str, Any] = {"assets": (Names, ...)}
_TABLE: list[tuple[str, Effect, Recovery, dict[str, Any], dict[str, Any]]] = [
    (
        "triage.classify_assets", READS, PERSON, {"assets": (Names, [])},
        {"assets": list[str], "top_tier": str, "top_level": int, "critical": bool, "tags": list[str]},
    ),
    ("triage.order_by_dependency", READS, PERSON, _ASSETS, {"waves": list[str], "ordered": list[str], "raised": list[str]}),
    (
        "triage.promote_asset", WRITES, IDEMPOTENT,
        {"asset": (str, ...), "tier": (str, ...), "justification": (str, ...), "lasts": (str, "7d"), "approved_by": (str, "")},
        {"exception": str},
    ),
    (
        "authority.check_emergency", READS, PERSON, {"assets": (Names, [])},
        {"approval_needed": bool, "approvals": int, "grant": str, "change_wanted": bool},
    ),
    (
        "change.cover", WRITES, LOOKS_UP, {"assets": (Names, [])},
        {"covered_by": Literal["standard", "emergency", "nothing"], "change": str, "reason": str},
    ),
    (
        "change.close_opened", WRITES, LOOKS_UP, {"successful": (bool, True), "notes": (str, "")},
        {"closed": list[str], "open": list[str]},
    ),
    ("authority.revoke_grant", WRITES, IDEMPOTENT, {"grant": (str, ...), "reason": (str, ...)}, {"grant": str}),
    (
        "backup.check_capacity", READS, PERSON, {**_ASSETS, "pool": (str, ""), "storage": (Storage, Storage.ROUTED)},
        {"fits": bool, "pools": list[str], "needed_bytes": int, "free_bytes": int, "reserve_bytes": int, "rerouted": list[str],
         "route": Literal["primary", "alternate", "none"]},
    ),
    ("backup.check_health", READS, PERSON, _ASSETS, {"healthy": bool, "reasons": list[str], "load": float}),
    (
        "backup.start", WRITES, LOOKS_UP, {"asset": (str, ...), "pool": (str, ""), "storage": (Storage, Storage.ROUTED)},
        {"asset": str, "pool": str, "job": str},
    ),
    (
        "backup.status", READS, PERSON, {"asset": (str, ...), "pool": (str, ...), "job": (str, ...)},
        {"state": State, "backup_outcome": str, "restore_point": str, "bytes_done": int, "bytes_total": int},
    ),
    ("backup.verify", READS, PERSON, {"restore_point": (str, ...)}, {"verified": bool, "faulty": bool, "checks": list[str]}),
    ("backup.delete", DESTROYS, LOOKS_UP, {"restore_point": (str, ...)}, {}),
    (
        "retention.extend", WRITES, IDEMPOTENT, {"subjects": (Names, []), "at_least": (str, "30d"), "occasion": (str, "")},
        {"kept": list[str], "earliest": str},
    ),
    (
        "escalation.notify", WRITES, IDEMPOTENT, {"contact": (str, ...), "text": (str, ...), "assets": (Names, [])},
        {"notice": str, "call": list[str], "acknowledge_by": str, "delivered": bool},
    ),
    ("escalation.status", READS, PERSON, {"notice": (str, ...)}, {"state": Answered, "acknowledged_by": str}),
    (
        "evidence.seal", WRITES, IDEMPOTENT, {"restore_points": (Names, []), "content": (Content, Content.FULL)},
        {"evidence": str, "path": str, "manifest_sha256": str, "timestamped": bool},
    ),
    ("evidence.verify", READS, PERSON, {"evidence": (str, ...)}, {"status": Status, "faults": list[str]}),
    (
        "evidence.compare", READS, PERSON, {"before": (str, ...), "after": (str, "")},
        {"added": int, "removed": int, "modified": int, "moved": int, "metadata_only": int, "unreadable": int,
         "patterns": list[str], "report": str},
    ),
    (
        "hold.place", WRITES, IDEMPOTENT, {"subjects": (Names, []), "reason": (str, ...), "legal_basis": (str, "")},
        {"holds": list[str]},
    ),
    ("notify.page", WRITES, PERSON, {"text": (str, ...), "level": (int, 1)}, {"page": str}),
    ("report.summary", WRITES, IDEMPOTENT, {}, {"report": str, "steps": int}),
]  # fmt: skip


def _entry(name: str, effect: Effect, recovery: Recovery, inputs: dict[str, Any], outputs: dict[str, Any]) -> AnyAction:
    make: Any = create_model
    request = make(
        "Asked",
        __base__=Request,
        **{
            field: (kind, Field(default=default, description=f"The {field}.", examples=["x"]))
            for field, (kind, default) in inputs.items()
        },
    )
    result = make("Found", __base__=Result, **{field: (kind, ...) for field, kind in outputs.items()})

    def act(request: Any, context: Context) -> Any:
        """Do nothing."""
        return Result(outcome=Outcome.SUCCEEDED)

    act.__annotations__ = {"request": request, "context": "Context", "return": result}
    return describe(action(name, title=name, effect=effect, needs=Needs.NOTHING, recovery=recovery)(act))


def playbook_actions() -> dict[str, AnyAction]:
    """Return the catalogue by name."""
    return {name: _entry(name, effect, recovery, inputs, outputs) for name, effect, recovery, inputs, outputs in _TABLE}
