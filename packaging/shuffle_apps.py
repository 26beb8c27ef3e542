"""Builds what Shuffle users install: the app below build/shuffle/apps, the workflows, and one zip of both in dist/.

The same sources give the same bytes. `make packs` runs it. Usage: shuffle_apps.py [--build FOLDER] [--dist FOLDER]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from shuffle_app_code import AUTHENTICATION, app_code, control_parameters
from shuffle_wheel import NAME, wheel_bytes
from snaphold import __version__
from snaphold.action import AnyAction, catalogue
from snaphold.fields import FieldShape, Kind, fields_of, value_text
from snaphold.playbook.load import load_parts, load_playbook, playbook_files
from snaphold.soar.shuffle_names import APP, METHODS, Method, Parameter, method_name
from snaphold.targets.shuffle import compile_shuffle
from snaphold.targets.write import write_outputs
from xsoar_image import image
from xsoar_pack import zip_bytes

ROOT = Path(__file__).resolve().parents[1]
SDK = "shuffle-sdk==0.0.41"
FOLDER = f"apps/snaphold/{__version__}"
Files = dict[str, bytes]
_DOCKERFILE = """\
FROM frikky/shuffle:app_sdk AS base
FROM base AS builder
RUN apk --no-cache add alpine-sdk libffi-dev musl-dev openssl-dev && mkdir /install
COPY requirements.txt /requirements.txt
COPY wheels /wheels
RUN pip install --no-cache-dir --find-links /wheels --prefix=/install -r /requirements.txt
FROM base
COPY --from=builder /install /usr/local
COPY src /app
WORKDIR /app
CMD python app.py --log-level DEBUG
"""


def app_files() -> Files:
    """Return the app's files by path."""
    files = {
        "api.yaml": _yaml(api_document()),
        "Dockerfile": _DOCKERFILE,
        "requirements.txt": f"{SDK}\nsnaphold=={__version__}\n",
        "README.md": readme(),
        "src/app.py": app_code(),
    }
    found = {f"{FOLDER}/{name}": text.encode() for name, text in files.items()}
    found[f"{FOLDER}/wheels/{NAME}"] = wheel_bytes()
    return found


def workflow_files() -> Files:
    """Return the workflows of every shipped playbook and part, by path."""
    files: Files = {}
    for path in playbook_files(ROOT / "playbooks"):
        loaded = load_playbook(path)
        output = compile_shuffle(loaded, load_parts(loaded))
        files |= {f"workflows/{name}": content for name, content in output.files.items()}
    return files


def api_document() -> dict[str, Any]:
    """Return api.yaml as data: every scalar is text, every flag a boolean, every list a list."""
    picture = "data:image/png;base64," + base64.b64encode(image()).decode()
    return {
        "name": APP,
        "app_version": __version__,
        "description": "Incident backups, sealed evidence and legal holds through the Snaphold service",
        "contact_info": {"name": "Snaphold authors", "url": ""},
        "tags": ["Backup", "Evidence", "Incident response"],
        "categories": ["Cases"],
        "small_image": picture,
        "large_image": picture,
        "authentication": {"required": True, "parameters": [_authentication(one) for one in AUTHENTICATION]},
        "actions": [*(_action(entry) for entry in catalogue().values()), *(_method(method) for method in METHODS)],
    }


def _authentication(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name, "description": one.description, "example": one.example, "required": one.required,
        "multiline": False, "schema": {"type": "string"},
    }  # fmt: skip


def _action(entry: AnyAction) -> dict[str, Any]:
    example = {"success": True, "way": "next", **entry.example_result().model_dump(mode="json")}
    return {
        "name": method_name(entry.name),
        "description": f"{entry.title}. {entry.description} Effect: {entry.effect.value}.",
        "label": entry.title,
        "parameters": [*(_input(shape) for shape in fields_of(entry.request)), *_controls(control_parameters(entry))],
        "returns": {
            "description": "success, way, outcome and the outputs",
            "example": _json(example),
            "schema": {"type": "string"},
        },
    }


def _method(method: Method) -> dict[str, Any]:
    return {
        "name": method.name,
        "description": f"{method.description}.",
        "label": method.description,
        "auth_not_required": not method.needs_service,
        "parameters": _controls(method.parameters),
        "returns": {"description": "success and way", "example": method.example, "schema": {"type": "string"}},
    }


def _input(shape: FieldShape) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": shape.name,
        "description": f"{shape.description} ({shape.kind_text})",
        "example": value_text(next((one for one in shape.examples if one is not None), "")) or "text",
        "required": shape.required,
        "multiline": shape.kind is Kind.TEXT,
        "schema": {"type": "string"},
    }
    if shape.choices:
        found |= {"options": list(shape.choices), "value": value_text(shape.default)}
    return found


def _controls(parameters: Sequence[Parameter]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name, "description": one.description, "example": one.example or "text", "required": one.required,
            "multiline": one.multiline, "schema": {"type": "string"},
        }
        for one in parameters
    ]  # fmt: skip


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


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Quoted(yaml.SafeDumper):
    """Writes all text in quotes: an unquoted 1.10 would become version 1.1 without a word."""


def _quote(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')  # pyright: ignore[reportUnknownMemberType]


_Quoted.add_representer(str, _quote)


def _yaml(value: dict[str, Any]) -> str:
    return yaml.dump(value, Dumper=_Quoted, sort_keys=False, allow_unicode=True, width=10_000)


if __name__ == "__main__":
    sys.exit(main())
