"""The reference page of the REST API, from its own description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from snaphold.service.problems import title_of
from snaphold.targets.docs import table

_HEAD = """# REST API

Generated from the service's own description by `make docs`; edit the code, not this page. A running service gives the
whole description, with every schema, at `/openapi.json` (OpenAPI 3.1). How to run it:
[run the service](../how-to/run-the-service.md).

Every request but `GET /healthz`, `GET /readyz` and `GET /openapi.json` carries `Authorization: Bearer snh_...`. Bodies are JSON
objects in UTF-8, at most 1 MiB and 16 levels deep, without a key twice.
"""

_ACTIONS = """## Actions

`POST /v1/actions/{name}`. The body holds the action's inputs, as [actions](actions.md) lists them, and `incident`: the
whole incident, or the id of one that was sent before (the header `X-Snaphold-Incident` does the same). Lists may come as
text with commas.

| Header | When | Meaning |
| --- | --- | --- |
| `Idempotency-Key` | what writes | The same for a repeat, new for a new deed. One key never has two effects. It counts within its incident: `INC-1/...` as the playbooks make them, and any other becomes `INCIDENT/api/KEY`. |
| `X-Snaphold-Justification` | what writes | Why; kept in the audit trail. Text beyond ASCII is percent-encoded UTF-8. |
| `Prefer` | as you like | `wait=SECONDS`: how long to wait for the result (at most 20). `respond-async`: do not wait. |

The answer is `200` with the result, whose `outcome` is `succeeded`, `partial`, `failed` or `unknown`; or `202` with
`Location: /v1/jobs/{id}` when it takes longer. A job is `running`, then `done` (with `result`), `failed` or `unknown` (with
`problem`). A job that a restart cut off is looked up under its key; as long as nobody knows what became of it, it is
`unknown`, and repeating the request with the same key settles it.
"""  # noqa: E501

_ERRORS = """## Errors

Every error is `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail` (what happened), `why` and `do`
(what you can do). A wrong input has `errors`, one for each field. `424` has `outcome`: `failed`, or `unknown` when the
action may have taken effect. `500` has `id`: the service's log has the rest under it.
"""


def rest_reference(document: Mapping[str, Any]) -> str:
    """Return the page as Markdown, from the OpenAPI document."""
    operations = list(_operations(document))
    others = [(method, path, told) for method, path, told in operations if not path.startswith("/v1/actions/")]
    lines = [_HEAD, _ACTIONS, "## Everything else", ""]
    lines += table(("Request", "What it does"), [(f"`{m.upper()} {p}`", told["description"]) for m, p, told in others])
    for method, path, told in others:
        if "requestBody" in told:
            sample = told["requestBody"]["content"]["application/json"]["example"]
            lines += ["", f"`{method.upper()} {path}` takes, for example:", "", "```json", json.dumps(sample), "```"]
    statuses = sorted({int(status) for _, _, told in operations for status in told["responses"] if status >= "400"} | {405})
    lines += ["", _ERRORS, *table(("Status", "Meaning"), [(str(status), title_of(status)) for status in statuses])]
    return "\n".join(lines) + "\n"


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, told in item.items():
            yield method, path, told
