"""The few calls of Shuffle's API that the installer makes, over the product's own HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from shuffle_workflows import Json, own_id
from snaphold.errors import NotAuthorisedError, ProviderError
from snaphold.http import send
from snaphold.soar.shuffle_names import APP

SECONDS = 60.0
_OK = 200
_REFUSED = (401, 403)


class ShuffleServer:
    """One Shuffle server and the key of one user. Every method raises ProviderError or NotAuthorisedError."""

    def __init__(self, url: str, key: str, ca_file: Path | None = None) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._ca_file = ca_file

    def own_workflows(self) -> dict[str, list[str]]:
        """Return the server's ids of our workflows by their stable id."""
        found: dict[str, list[str]] = {}
        for document in self._list("/api/v1/workflows"):
            try:
                found.setdefault(own_id(document), []).append(str(document["id"]))
            except KeyError:
                continue  # somebody else's
        return found

    def create(self, document: Json) -> str:
        """Make an empty workflow that carries our tags, so that a broken installation is found again; return its id."""
        told = {"name": document["name"], "description": document["description"], "tags": document["tags"]}
        answer = self._call("POST", "/api/v1/workflows", told)
        id = cast("Json", answer).get("id") if isinstance(answer, dict) else None
        if not isinstance(id, str) or not id:
            raise ProviderError(f"Shuffle did not make {document['name']}", "its answer has no id")
        return id

    def write(self, id: str, document: Json) -> None:
        """Replace a workflow; the ids of its nodes are kept."""
        answer = self._call("PUT", f"/api/v1/workflows/{quote(id, safe='')}?skip_save=true", document)
        if isinstance(answer, dict) and cast("Json", answer).get("success") is False:
            reason = str(cast("Json", answer).get("reason") or "no reason given")
            raise ProviderError(f"Shuffle refused {document['name']}", reason)

    def read(self, id: str) -> Json:
        """Return a workflow as the server has it."""
        answer = self._call("GET", f"/api/v1/workflows/{quote(id, safe='')}")
        if not isinstance(answer, dict):
            raise ProviderError(f"Shuffle does not give the workflow {id}", "its answer is no object")
        return cast("Json", answer)

    def start_webhook(self, workflow: str, document: Mapping[str, Any], trigger: Mapping[str, Any]) -> bool:
        """Start a webhook and return whether the server says that it did."""
        values = {one["name"]: one["value"] for one in trigger["parameters"]}
        told = {
            "name": trigger["label"], "type": "webhook", "id": trigger["id"], "workflow": workflow, "start": document["start"],
            "environment": trigger["environment"], "auth": values["auth_headers"], "custom_response": "", "version": "v1",
        }  # fmt: skip
        answer = self._call("POST", "/api/v1/hooks/new", told)
        return isinstance(answer, dict) and cast("Json", answer).get("success") is True

    def missing_app(self, workflows: Mapping[str, Json]) -> list[str]:
        """Return which versions of our app the workflows need and the server does not have."""
        needed = {action["app_version"] for document in workflows.values() for action in document["actions"]}
        have = {str(app.get("app_version")) for app in self._list("/api/v1/apps") if app.get("name") == APP}
        return [f"the app {APP} {version} is not installed on the server" for version in sorted(needed - have)]

    def _list(self, path: str) -> list[Json]:
        answer = self._call("GET", path)
        if not isinstance(answer, list):
            raise ProviderError(f"Shuffle's answer to {path} is not understood", "it is no list")
        return [cast("Json", item) for item in cast("list[Any]", answer) if isinstance(item, dict)]

    def _call(self, method: str, path: str, document: Json | None = None) -> Any:
        answer = send(
            method, self._url + path,
            body=json.dumps(document).encode() if document is not None else None,
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
            timeout=SECONDS, ca_file=self._ca_file,
        )  # fmt: skip
        if answer.status in _REFUSED:
            raise NotAuthorisedError(
                f"Shuffle refuses {method} {path.partition('?')[0]}",
                f"status {answer.status}: the key may not do this, or, for a workflow, the server could not read the JSON",
                "check the key; Shuffle gives no other reason",
            )
        if answer.status != _OK:
            raise ProviderError(f"Shuffle answers {method} {path.partition('?')[0]} with status {answer.status}")
        try:
            return json.loads(answer.body)
        except ValueError as error:
            raise ProviderError(f"Shuffle's answer to {path.partition('?')[0]} is no JSON") from error
