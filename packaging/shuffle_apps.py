"""Builds what Shuffle users install: the apps below build/shuffle/apps, the workflows, and one zip of both in dist/.

The same sources give the same bytes. `make packs` runs it. Usage: shuffle_apps.py [--build FOLDER] [--dist FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

from shuffle_app_code import AUTHENTICATION, app_code, control_parameters
from shuffle_document import Files, action_entry, api_of, files_of, folder_of, method_entry
from shuffle_vendors import vendor_app_files
from snaphold import __version__
from snaphold.action import catalogue
from snaphold.fields import fields_of
from snaphold.playbook.load import load_parts, load_playbook, playbook_files
from snaphold.soar.shuffle_names import APP, METHODS, method_name
from snaphold.soar.vendors import VENDORS
from snaphold.targets.shuffle import compile_shuffle
from snaphold.targets.write import write_outputs
from xsoar_pack import zip_bytes

ROOT = Path(__file__).resolve().parents[1]
FOLDER = folder_of(APP)


def app_files() -> Files:
    """Return the files of the app of the service by path."""
    return files_of(APP, api_document(), readme(), app_code())


def workflow_files() -> Files:
    """Return the workflows of every shipped playbook and part, by path."""
    files: Files = {}
    for path in playbook_files(ROOT / "playbooks"):
        loaded = load_playbook(path)
        output = compile_shuffle(loaded, load_parts(loaded))
        files |= {f"workflows/{name}": content for name, content in output.files.items()}
    return files


def api_document() -> dict[str, Any]:
    """Return api.yaml of the app of the service as data."""
    entries = [action_entry(one, fields_of(one.request), control_parameters(one)) for one in catalogue().values()]
    methods = [method_entry(method, signs_in=method.needs_service) for method in METHODS]
    told = "Incident backups, sealed evidence and legal holds through the Snaphold service"
    return api_of(APP, told, ("Backup", "Evidence", "Incident response"), AUTHENTICATION, [*entries, *methods])


def readme() -> str:
    """Return the app's README, which Shuffle shows as its documentation."""
    lines = [
        f"# {APP} {__version__}",
        "",
        "Incident backups, sealed evidence and legal holds. Every action is forwarded to your Snaphold service, which holds",
        "the credentials of the backup systems, checks the authority and writes the audit trail.",
        "",
        "- `url`, `token`: the service and an API token (`snaphold token create`). `ca_file`: a private authority, optional.",
        "- Every answer has `success`. Gate every branch with `$label.success equals true`, and use only `equals`.",
        "- Work that takes long answers with `way` `waiting` and a `job`; ask `job_status` from a later run.",
        "- Templates (`{{ }}`, `{% %}`) are not rendered in the parameters of this app: alert text stays text.",
        "- What changes something needs `snaphold_incident`, `snaphold_step` and `snaphold_justification`.",
        "",
        "| Action | Effect | What it does |",
        "|---|---|---|",
    ]
    lines += [f"| `{method_name(entry.name)}` | {entry.effect.value} | {entry.title} |" for entry in catalogue().values()]
    lines += [f"| `{method.name}` | | {method.description} |" for method in METHODS]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Write tree and zip, say what was written, and return 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "shuffle")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist")
    options = parser.parse_args(arguments)
    files = {**app_files(), **workflow_files()}
    for kind in VENDORS:
        files |= vendor_app_files(kind)
    write_outputs(files, options.build)
    packed = zip_bytes(files)
    path: Path = options.dist / f"{APP}-shuffle-{__version__}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(packed)
    os.replace(fresh, path)
    print(f"{options.build}: {len(files)} files")
    print(f"{path}: {len(packed)} bytes, sha256 {hashlib.sha256(packed).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
