"""What all Shuffle apps share: their files, the head of api.yaml, and its entries for authentication, inputs and answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from shuffle_wheel import NAME, wheel_bytes
from snaphold import __version__
from snaphold.action import AnyAction
from snaphold.fields import FieldShape, Kind, value_text
from snaphold.soar.shuffle_names import Method, Parameter, method_name
from xsoar_image import image

Files = dict[str, bytes]
SDK = "shuffle-sdk==0.0.41"
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


def folder_of(app: str) -> str:
    """Return the folder of an app: Shuffle wants its name in small letters, and below it the version."""
    return f"apps/{app.lower()}/{__version__}"


def files_of(app: str, api: dict[str, Any], readme: str, code: str) -> Files:
    """Return the files of an app by path."""
    files = {
        "api.yaml": yaml_text(api),
        "Dockerfile": _DOCKERFILE,
        "requirements.txt": f"{SDK}\nsnaphold=={__version__}\n",
        "README.md": readme,
        "src/app.py": code,
    }
    found = {f"{folder_of(app)}/{name}": text.encode() for name, text in files.items()}
    found[f"{folder_of(app)}/wheels/{NAME}"] = wheel_bytes()
    return found


def api_of(
    app: str, description: str, tags: Sequence[str], authentication: Sequence[Parameter], actions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Return api.yaml as data: every scalar is text, every flag a boolean, every list a list."""
    picture = "data:image/png;base64," + base64.b64encode(image()).decode()
    return {
        "name": app,
        "app_version": __version__,
        "description": description,
        "contact_info": {"name": "Snaphold authors", "url": ""},
        "tags": list(tags),
        "categories": ["Cases"],
        "small_image": picture,
        "large_image": picture,
        "authentication": {"required": True, "parameters": [_authentication(one) for one in authentication]},
        "actions": list(actions),
    }


def action_entry(entry: AnyAction, shapes: Sequence[FieldShape], parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the entry of an action with its inputs and the parameters that are no input."""
    example = {"success": True, "way": "next", **entry.example_result().model_dump(mode="json")}
    return {
        "name": method_name(entry.name),
        "description": f"{entry.title}. {entry.description} Effect: {entry.effect.value}.",
        "label": entry.title,
        "parameters": [*(_input(shape) for shape in shapes), *_controls(parameters)],
        "returns": {
            "description": "success, way, outcome and the outputs",
            "example": _json(example),
            "schema": {"type": "string"},
        },
    }


def method_entry(method: Method, *, signs_in: bool) -> dict[str, Any]:
    """Return the entry of a method that is no action; `signs_in` says that it needs the authentication."""
    return {
        "name": method.name,
        "description": f"{method.description}.",
        "label": method.description,
        "auth_not_required": not signs_in,
        "parameters": _controls(method.parameters),
        "returns": {"description": "success and way", "example": method.example, "schema": {"type": "string"}},
    }


def _authentication(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name, "description": one.description, "example": one.example, "required": one.required,
        "multiline": False, "schema": {"type": "string"},
    }  # fmt: skip


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


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


class _Quoted(yaml.SafeDumper):
    """Writes all text in quotes: an unquoted 1.10 would become version 1.1 without a word."""


def _quote(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"')  # pyright: ignore[reportUnknownMemberType]


_Quoted.add_representer(str, _quote)


def yaml_text(value: dict[str, Any]) -> str:
    """Return api.yaml as text."""
    return yaml.dump(value, Dumper=_Quoted, sort_keys=False, allow_unicode=True, width=10_000)
