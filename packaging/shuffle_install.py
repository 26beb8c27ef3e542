"""Installs compiled workflows on a Shuffle server, in two passes, and checks afterwards that everything landed.

Shuffle gives every new workflow a new id, so links between workflows are only known once all of them exist. Pass one
finds our own earlier workflows by their tag, or makes empty ones; pass two writes the contents with the new ids. What
somebody changed by hand on the server is kept and reported; `--overwrite` replaces it. Running it again is safe.

Usage: shuffle_install.py FOLDER --url URL --api-key env:SHUFFLE_KEY [--environment NAME] [--authentication-id ID]
       [--webhook-secret env:NAME] [--ca-file FILE] [--overwrite] [--dry-run]
Exit codes: 0 done, 1 failed, 2 bad input, 3 installed with differences, 4 not authorised.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from shuffle_server import ShuffleServer
from shuffle_workflows import (
    Json,
    Settings,
    differences,
    installed_digest,
    links_of,
    own_id,
    prepared,
    projection_digest,
    webhooks_of,
)
from snaphold.errors import EXIT_DONE, EXIT_FINDINGS, InputError, SnapholdError
from snaphold.secrets import remember, resolve


def load_workflows(folder: Path) -> dict[str, Json]:
    """Return the workflows of a folder by their stable id. Raises InputError: none, unreadable, two of one id, lost links."""
    found: dict[str, Json] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            id = own_id(cast("Json", document))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no compiled workflow", f"{type(error).__name__}: {error}") from error
        if id in found:
            raise InputError(f"{path} has the id of another workflow", id, "compile the playbooks again, into an empty folder")
        found[id] = document
    if not found:
        raise InputError(f"{folder} holds no workflows", do="snaphold playbook compile FILE --target shuffle --out FOLDER")
    for document in found.values():
        for link in links_of(document):
            if link not in found:
                raise InputError(
                    f"{document['name']} needs a workflow that is not in {folder}", link, "install it together with its parts"
                )
    return found


def install(workflows: Mapping[str, Json], server: ShuffleServer, settings: Settings, *, dry_run: bool) -> list[str]:
    """Install the workflows and return what is not as it should be; an empty list when everything landed."""
    there = server.own_workflows()
    twice = [id for id, found in there.items() if len(found) > 1 and id in workflows]
    if twice:
        names = ", ".join(str(workflows[id]["name"]) for id in twice)
        raise InputError(f"the server holds more than one copy of {names}", do="delete all but one, then install again")
    if dry_run:
        for id, document in workflows.items():
            print(f"would {'update' if id in there else 'make'} {document['name']}")
        return []
    ids = {id: there[id][0] for id in there if id in workflows}
    for id, document in workflows.items():
        if id not in ids:
            ids[id] = server.create(document)
            print(f"made {document['name']}")
    found = [finding for id, document in workflows.items() for finding in _write(ids[id], document, ids, server, settings)]
    return [*found, *_start_webhooks(workflows, ids, server, settings), *server.missing_app(workflows)]


def _write(server_id: str, document: Json, ids: Mapping[str, str], server: ShuffleServer, settings: Settings) -> list[str]:
    """Write one workflow unless it is there already, read it back, and return what differs."""
    wanted = prepared(document, ids, settings)
    present = server.read(server_id)
    if not differences(wanted, present):
        print(f"unchanged {document['name']}")
        return []
    before = installed_digest(present)
    if before and before != projection_digest(present) and not settings.overwrite:
        return [f"{document['name']}: kept, because it was changed by hand; --overwrite replaces it"]
    server.write(server_id, wanted)
    print(f"wrote {document['name']}")
    return [f"{document['name']}: {finding}" for finding in differences(wanted, server.read(server_id))]


def _start_webhooks(
    workflows: Mapping[str, Json], ids: Mapping[str, str], server: ShuffleServer, settings: Settings
) -> list[str]:
    found: list[str] = []
    for id, document in workflows.items():
        for trigger in webhooks_of(prepared(document, ids, settings)):
            if not settings.webhook_secret:
                found.append(f"{document['name']}: its webhook is not started, because --webhook-secret is not given")
            elif server.start_webhook(ids[id], document, trigger):
                print(f"started the webhook of {document['name']}")
            else:
                found.append(f"{document['name']}: the server did not start its webhook")
    return found


def main(arguments: list[str] | None = None) -> int:
    """Install, print what differs, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the compiled workflows")
    parser.add_argument("--url", required=True, help="address of the Shuffle server")
    parser.add_argument("--api-key", required=True, help="where the key is: env:NAME, file:PATH or command:ARGV")
    parser.add_argument("--environment", default="Shuffle", help="the environment (location) that runs the workflows")
    parser.add_argument("--authentication-id", default="", help="the authentication of the app Snaphold")
    parser.add_argument("--webhook-secret", default="", help="where the secret of the webhooks is: env:NAME, file:PATH, ...")
    parser.add_argument("--ca-file", type=Path, help="the certificate authority of the server")
    parser.add_argument("--overwrite", action="store_true", help="replace what was changed by hand")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    options = parser.parse_args(arguments)
    try:
        key = resolve(options.api_key)
        secret = resolve(options.webhook_secret) if options.webhook_secret else ""
        for text in filter(None, (key, secret)):
            remember(text)
        settings = Settings(options.url, options.environment, options.authentication_id, secret, options.overwrite)
        server = ShuffleServer(options.url, key, options.ca_file)
        found = install(load_workflows(options.folder), server, settings, dry_run=options.dry_run)
    except SnapholdError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for finding in found:
        print(f"differs: {finding}", file=sys.stderr)
    return EXIT_FINDINGS if found else EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
