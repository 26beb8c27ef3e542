"""Builds the throw-away estate of `snaphold demo` below one folder: application, share, keys, configuration, incident."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from string import Template

from snaphold.clock import format_time
from snaphold.demo.engines import Engine
from snaphold.demo.share import fill_share
from snaphold.demo.writer import create_database
from snaphold.errors import InputError, StorageError
from snaphold.identity import current_login

PLAYBOOK = "ransomware-response"
REQUESTER = "ana"
APPROVER = "bruno"
POOLS = ("isolated-01", "isolated-02")
SHARE_ASSET = "files-01"
_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True)
class Estate:
    """Where the parts of the estate are. All paths are absolute."""

    folder: Path
    files: int

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.folder / "snaphold.yaml"

    @property
    def incident(self) -> Path:
        """The incident as it arrives."""
        return self.folder / "incident.json"

    @property
    def database(self) -> Path:
        """The database of the live application."""
        return self.folder / "app" / "orders.db"

    @property
    def share(self) -> Path:
        """The file share."""
        return self.folder / "share"


def claim_folder(given: Path | None) -> Path:
    """Return the empty folder for the estate: the given one, made when missing, or a new temporary one that is kept.

    Raises InputError when it holds anything, StorageError when it cannot be made.
    """
    if given is None:
        import tempfile

        return Path(tempfile.mkdtemp(prefix="snaphold-demo-")).resolve()
    folder = given.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = next(folder.iterdir(), None)
    except (NotADirectoryError, FileExistsError) as error:
        raise InputError(f"{folder} is not a folder", do="name a folder that is empty or does not exist") from error
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be made", error.strerror, "choose another with --dir") from error
    if taken is not None:
        raise InputError(
            f"the folder {folder} is not empty", f"it holds {taken.name}", "name a folder that is empty or does not exist"
        )
    return folder.resolve()


def build_estate(folder: Path, engine: Engine, now: datetime) -> Estate:
    """Build everything below the empty `folder`; `engine` is that of its pools. Raises StorageError."""
    try:
        return _build(folder, engine, now)
    except OSError as error:
        raise StorageError(f"the estate cannot be written to {folder}", error.strerror, "choose another with --dir") from error


def _build(folder: Path, engine: Engine, now: datetime) -> Estate:
    from snaphold.config import load_configuration
    from snaphold.evidence.signature import create_key
    from snaphold.evidence.trust import write_trust

    for name in ("app/settings", "share", "pools"):
        (folder / name).mkdir(parents=True)
    (folder / "keys").mkdir(mode=_PRIVATE_FOLDER)
    public_key = create_key(folder / "keys" / "custodian")
    for pool in POOLS:
        _write_private(folder / "keys" / pool, secrets.token_urlsafe(24))
    estate = Estate(folder, fill_share(folder / "share"))
    create_database(estate.database)
    (folder / "app" / "settings" / "orders.ini").write_text("[orders]\ncurrency = EUR\nport = 8443\n", encoding="utf-8")
    template = files("snaphold.demo").joinpath("estate.yaml").read_text(encoding="utf-8")
    known = {"login": current_login(), "provider": engine.provider, "program": json.dumps(engine.program)}
    filled = Template(template).substitute(known)
    estate.configuration.write_text(filled, encoding="utf-8")
    estate.incident.write_text(json.dumps(_incident(now), indent=2) + "\n", encoding="utf-8")
    write_trust(load_configuration(estate.configuration), public_key, now)
    return estate


def _incident(now: datetime) -> dict[str, object]:
    return {
        "id": f"INC-{now:%Y}-0042",
        "title": "Ransomware precursor on the file server",
        "severity": 1,
        "category": "ransomware",
        "declared_at": format_time(now),
        "assets": ["orders-app", SHARE_ASSET, "orders-db"],
        "reported_by": "edr@example.org",
        "source": "demonstration",
        "description": "The endpoint agent saw a known ransomware loader start on the file server. Nothing is encrypted yet.",
    }


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE), "w", encoding="utf-8") as file:
        file.write(text + "\n")
