"""What the adapter of Commvault can do, and how that was proved."""

from __future__ import annotations

from snaphold.providers.base import Capability, Description, Support, Verb

PROVED_ON = "vendor specification enforced (V4); third-party client (older calls)"
_FULL = Capability(support=Support.FULL)


def _approximate(how: str) -> Capability:
    return Capability(support=Support.APPROXIMATE, detail=how)


def _unsupported(why: str) -> Capability:
    return Capability(support=Support.UNSUPPORTED, detail=why)


DESCRIPTION = Description(
    provider="commvault",
    engine="Commvault",
    capabilities={
        Verb.FIND_WORKLOAD: _FULL,
        Verb.CHECK_HEALTH: _FULL,
        Verb.CAPACITY: _approximate("disk storage pools only, in megabytes, read as 1,000,000 bytes each"),
        Verb.ESTIMATE: _approximate("the largest earlier backup of the subclient; 0 when there is none"),
        Verb.START: _approximate(
            "no key at the vendor: ours goes into the description of the job, and is read from the order that started it"
        ),
        Verb.STATUS: _FULL,
        Verb.CANCEL: _FULL,
        Verb.RESTORE_POINTS: _approximate("as far back as lookup_window goes"),
        Verb.VERIFY: _approximate("what Commvault's own data verification told last; it is not run from here"),
        Verb.SET_RETENTION: _FULL,
        Verb.HOLD: _approximate("the job is retained until the end of 2037; whoever may change jobs may end that"),
        Verb.DELETE: _FULL,
        Verb.SET_SCHEDULE: _approximate("one more schedule in the asset's plan, so for all that the plan backs up"),
        Verb.OPEN_READ_ONLY: _unsupported("a restore goes to a client of Commvault and is started there"),
        Verb.PUBLISH: _unsupported("only snapshots of storage arrays can be mounted, and then for writing too"),
        Verb.MARK_INFECTED: _unsupported("its published API has no call for it"),
    },
    proved_on=PROVED_ON,
)
