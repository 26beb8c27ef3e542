"""The Shuffle apps of vendors' own systems: their actions run in the app's container, without the Snaphold service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from shuffle_app_code import check_names, class_code, method_code
from shuffle_document import Files, action_entry, api_of, files_of, method_entry
from snaphold import __version__
from snaphold.action import Effect
from snaphold.soar.followed import STATUS
from snaphold.soar.shuffle_names import CHECK, Parameter
from snaphold.soar.shuffle_vendor import controls_of, methods_of, settings_of
from snaphold.soar.vendors import VENDORS, brand, inputs_of

_IMPORTS = """\
from snaphold.soar.shuffle import refuse_templates
from snaphold.soar.shuffle_vendor import answer_vendor"""

_STATUS = "Show where a backup stands. way says what to do: waiting is to ask again, next to go on, error to stop. Effect: reads."
_BACKUPS = (
    "- `backup_start` begins a job and never a second one for the same step. Ask `backup_status` once in each run of a",
    "  workflow that starts itself: `$label.way equals waiting` asks again, `next` goes on, `error` is the end without a backup.",
    "  With `snaphold_asked_at` and `snaphold_within` a backup that still runs after that time is an error that names its job.",
)


def vendor_app_files(kind: str) -> Files:
    """Return the files of a vendor's app by path."""
    return files_of(brand(kind), vendor_api(kind), vendor_readme(kind), vendor_code(kind))


def vendor_authentication(kind: str) -> Sequence[Parameter]:
    """Return what the app's authentication holds."""
    vendor = VENDORS[kind]
    authority = "File in the app's container with the authority to trust, when it is not a public one."
    found = [Parameter("url", f"Address of {vendor.title}.", vendor.url, required=True)]
    found += [Parameter(name, f"{title}.", "*****", required=needed) for name, (needed, title) in vendor.credentials.items()]
    if vendor.storage:
        told = f"{vendor.storage} of {vendor.title} that takes the backups."
        found.append(Parameter("location", told, vendor.example, required=True))
    found.append(Parameter("ca_file", authority, "/certificates/ca.pem"))
    found.append(Parameter("settings", "NAME=VALUE, with commas; see the page on connecting this system.", "name=value"))
    return found


def vendor_api(kind: str) -> dict[str, Any]:
    """Return api.yaml of a vendor's app as data."""
    title = VENDORS[kind].title
    actions = [
        action_entry(entry, inputs_of(entry), controls_of(entry)) | ({"description": _STATUS} if entry.name == STATUS else {})
        for entry in methods_of(kind).values()
    ]
    told = f"Works with {VENDORS[kind].work} of {title} from Shuffle itself, without the Snaphold service"
    authentication = vendor_authentication(kind)
    return api_of(brand(kind), told, (title, "Incident response"), authentication, [*actions, method_entry(CHECK, signs_in=True)])


def vendor_code(kind: str) -> str:
    """Return src/app.py of a vendor's app. Raises ValueError for an input whose name Shuffle does not allow."""
    return class_code(brand(kind), _IMPORTS, _methods(kind))


def _methods(kind: str) -> Iterator[str]:
    taken = {"body", "self", *settings_of(kind)}
    for method, entry in methods_of(kind).items():
        inputs = [shape.name for shape in inputs_of(entry)]
        check_names(entry.name, inputs, taken)
        yield _method(kind, method, [*(one.name for one in controls_of(entry)), *inputs], entry.title)
    yield _method(kind, CHECK.name, [one.name for one in CHECK.parameters], CHECK.description)


def _method(kind: str, method: str, parameters: Sequence[str], title: str) -> str:
    value = f'answer_vendor("{kind}", "{method}", locals())'
    return method_code(method, [*settings_of(kind), *parameters], title, value)


def vendor_readme(kind: str) -> str:
    """Return the README of a vendor's app, which Shuffle shows as its documentation."""
    title = VENDORS[kind].title
    lines = [
        f"# {brand(kind)} {__version__}",
        "",
        f"Works with {VENDORS[kind].work} of {title} from this app's container. No Snaphold service is needed, so there is no",
        "audit trail of it, and no authority is checked.",
        "",
        f"- The authentication holds address and credentials. Run `{CHECK.name}`: it says what the account may not do.",
        "- Every answer has `success`. Gate every branch with `$label.success equals true`, and use only `equals`.",
        "- What changes something needs `snaphold_incident` and `snaphold_step`. The same step again finds what it left.",
        "- An answer with `outcome` `unknown` may have been carried out: run the same step again.",
        "- Templates (`{{ }}`, `{% %}`) are not rendered in the parameters of this app: alert text stays text.",
        f"- {VENDORS[kind].lacks} need the app Snaphold, with a service.",
        *(_BACKUPS if VENDORS[kind].storage else ()),
        "",
        "| Action | Effect | What it does |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {entry.effect.value} | {entry.title} |" for name, entry in methods_of(kind).items()]
    lines.append(f"| `{CHECK.name}` | {Effect.READS.value} | {CHECK.description} |")
    return "\n".join(lines) + "\n"
