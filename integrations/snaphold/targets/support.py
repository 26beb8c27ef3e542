"""The reference page of what each vendor's system can do through Snaphold, and how that was proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import TypeVar

from snaphold.platforms.base import PlatformDescription, PlatformVerb
from snaphold.providers.base import Capability, Description, Verb
from snaphold.targets.docs import table

AnyVerb = TypeVar("AnyVerb", bound=Enum)
_HEAD = """\
# Support by vendor

Generated from what each adapter declares; `make docs` writes this page again.

- `full`: the system does it.
- `approximate`: it is done another way; the note says how.
- `unsupported`: it is refused; the note says why.

How it was proved:

- `real system`: tests run against the product itself.
- `vendor specification enforced`: tests run against our simulator, and every request and answer is checked against the
  vendor's own OpenAPI documents by an independent validator. Conflicts and ordering are ours.
- `third-party client`: tests run against our simulator, and a client that is not ours reads its answers.
- `vendor simulator`: tests run against a simulator that the vendor itself publishes; it copies no data.
- `client model only`: every request and answer is checked by the model of the vendor's own client; behaviour is ours, or
  that of a simulator which a third party wrote (moto).
- `vendor documentation`: against our simulator too, but the vendor publishes only examples; answers are compared with those.

No adapter for a vendor's hosted system was tried against a live account.
"""


def support_reference(engines: Sequence[Description], platforms: Sequence[PlatformDescription]) -> str:
    """Return the page as Markdown: backup engines, then incident, paging and change systems."""
    engine_names = [item.provider for item in engines]
    platform_names = [item.platform for item in platforms]
    lines = [_HEAD, "## Backup engines", ""]
    lines += _section(list(Verb), engine_names, [item.capabilities for item in engines], [item.proved_on for item in engines])
    lines += ["## Incident, paging and change systems", ""]
    lines += _section(
        list(PlatformVerb),
        platform_names,
        [item.capabilities for item in platforms],
        [item.proved_on for item in platforms],
    )
    return "\n".join(lines)


def _section(
    verbs: Sequence[AnyVerb], names: Sequence[str], capabilities: Sequence[Mapping[AnyVerb, Capability]], proofs: Sequence[str]
) -> Iterator[str]:
    rows = [[f"`{verb.value}`", *(able[verb].support.value for able in capabilities)] for verb in verbs]
    yield from table(["verb", *names], [*rows, ["proved on", *proofs]])
    yield ""
    for name, able in zip(names, capabilities, strict=True):
        notes = [f"- `{verb.value}`: {able[verb].detail}." for verb in verbs if able[verb].detail]
        if notes:
            yield from (f"### {name}", "", *notes, "")
