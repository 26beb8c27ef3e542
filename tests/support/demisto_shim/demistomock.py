"""The part of the XSOAR server's object that the integration uses, written from its documentation; for tests."""

from __future__ import annotations

from typing import Any

STATE: dict[str, Any] = {}
"""command, args, params, incident, and `http`: answers of the server's own interface by "METHOD address"."""
RESULTS: list[Any] = []
"""What was given back to the war room."""
LOG: list[str] = []
KEPT: dict[str, Any] = {"context": {}, "version": 0}
"""The integration's own context, which outlives a command."""


def command() -> str:
    """Return the command."""
    return STATE.get("command", "")


def args() -> dict[str, Any]:
    """Return its arguments."""
    return STATE.get("args", {})


def params() -> dict[str, Any]:
    """Return the parameters of the instance."""
    return STATE.get("params", {})


def incident() -> dict[str, Any]:
    """Return the incident."""
    return STATE.get("incident", {})


def getIntegrationContextVersioned(refresh: bool = False) -> dict[str, Any]:  # noqa: N802
    """Return the integration's own context and its version."""
    del refresh
    return {"context": dict(KEPT["context"]), "version": KEPT["version"]}


def setIntegrationContextVersioned(context: dict[str, Any], version: int = -1, sync: bool = False) -> None:  # noqa: N802
    """Keep the integration's own context, unless somebody else has changed it."""
    del sync
    if version not in (-1, KEPT["version"]):
        raise ValueError("DB Version mismatch")
    assert all(isinstance(value, str) for value in context.values())
    KEPT.update({"context": dict(context), "version": KEPT["version"] + 1})


def results(entry: Any) -> None:
    """Take an entry for the war room."""
    RESULTS.append(entry)


def debug(text: str) -> None:
    """Take a line of the log."""
    LOG.append(text)


def internalHttpRequest(method: str, uri: str, body: str | None = None) -> dict[str, Any]:  # noqa: N802
    """Answer as the server's own interface; an address that is not known is answered with 404."""
    LOG.append(f"{method} {uri} {body or ''}")
    return STATE.get("http", {}).get(f"{method} {uri}", {"statusCode": 404, "body": ""})
