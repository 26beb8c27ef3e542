"""Reads YAML and JSON documents strictly, and names file, line, column and field of every fault.

YAML is held to what reads the same in YAML 1.1 and 1.2: duplicate keys, anchors, merge keys, tags, several documents
and plain scalars with two meanings (`yes`, `1:30`, `2026-11-22`, `010`) are refused with the line and the remedy.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from snaphold.errors import DocumentError, InputError, Location, Problem

Path_ = tuple["str | int", ...]
Model = TypeVar("Model", bound=BaseModel)

MAXIMUM_BYTES = 64 * 1024 * 1024
MAXIMUM_DEPTH = 40
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_AMBIGUOUS = (
    (re.compile(r"(?i)(yes|no|on|off)|True|TRUE|False|FALSE|Null|NULL"), "YAML 1.1 reads it as a boolean or null"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?"), "YAML 1.1 reads it as a number in base 60"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "YAML 1.1 reads it as a date"),
    (re.compile(r"[-+]?0[0-9_]+|0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*_[0-9_]*"), "it is a number only in some YAMLs"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|\+[0-9]+"), "it is a number only in some YAMLs"),
)
_FORBIDDEN_TOKENS: dict[type[yaml.Token], str] = {
    yaml.AnchorToken: "an anchor (&)",
    yaml.AliasToken: "an alias (*)",
    yaml.TagToken: "a tag (!)",
    yaml.DirectiveToken: "a directive (%)",
}


@dataclass
class Document:
    """A parsed document: plain data, and where each value and key stands."""

    path: str
    data: Any
    values: dict[Path_, Location] = field(default_factory=lambda: {})
    keys: dict[Path_, Location] = field(default_factory=lambda: {})

    def locate(self, where: Sequence[str | int]) -> Location | None:
        """Return where the value (or else the nearest value around it) stands in the file."""
        for length in range(len(where), -1, -1):
            found = self.values.get(tuple(where[:length]))
            if found:
                return found
        return None

    def locate_key(self, where: Sequence[str | int]) -> Location | None:
        """Return where the key of a value stands; the value's place when it has no key."""
        return self.keys.get(tuple(where)) or self.locate(where)


def read_text(path: Path, what: str) -> str:
    """Return a text file's content. Raises InputError when it is missing, unreadable, too large or not UTF-8."""
    try:
        if path.stat().st_size > MAXIMUM_BYTES:
            raise InputError(f"{what} {path} is too large", f"the limit is {MAXIMUM_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{what} {path} does not exist", do="check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path} is not UTF-8 text", f"byte {error.start} does not decode") from error
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read", error.strerror, "check the path and its permissions") from error


def load_document(path: Path, what: str = "document") -> Document:
    """Return the document in a YAML or JSON file. Raises DocumentError with file:line:column, or InputError."""
    return parse_document(read_text(path, what), str(path), what)


def parse_document(text: str, path: str, what: str = "document") -> Document:
    """Return the document in `text`; `path` is only named in errors. A name ending in `.json` is read as JSON."""
    if path.endswith(".json"):
        return _parse_json(text, path, what)
    try:
        _refuse_tokens(text, path, what)
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Location(path, mark.line + 1, mark.column + 1) if mark else None
        message = " ".join(part for part in (error.context, error.problem) if part)
        raise DocumentError(f"{what} {path} is not valid YAML", [Problem(message, location=place)]) from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{what} {path} is not valid YAML", [Problem(str(error).splitlines()[0])]) from error
    if len(nodes) != 1:
        problem = Problem(f"found {len(nodes)} documents, one is needed")
        raise DocumentError(f"{what} {path} must hold exactly one YAML document", [problem])
    document = Document(path, None)
    problems: list[Problem] = []
    document.data = _build(nodes[0], (), document, problems)
    if problems:
        raise DocumentError(f"{what} {path} has faults", problems)
    return document


def _parse_json(text: str, path: str, what: str) -> Document:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                raise DocumentError(f"{what} {path} has faults", [Problem(f"the key {key!r} stands twice")])
            seen[key] = value
        return seen

    try:
        data = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        place = Location(path, error.lineno, error.colno)
        raise DocumentError(f"{what} {path} is not valid JSON", [Problem(error.msg, location=place)]) from error
    except RecursionError as error:
        raise DocumentError(f"{what} {path} is nested too deeply", [Problem("nested too deeply")]) from error
    document = Document(path, data)
    try:
        # JSON is YAML but for tabs, which YAML refuses as indentation; positions are only for messages.
        node = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
        if node is not None:
            _build(node, (), document, [])
    except (yaml.YAMLError, RecursionError):
        document.values[()] = Location(path, 1, 1)
    return document


def _refuse_tokens(text: str, path: str, what: str) -> None:
    problems: list[Problem] = []
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        name = _FORBIDDEN_TOKENS.get(type(token))
        if name:
            place = Location(path, token.start_mark.line + 1, token.start_mark.column + 1)
            problems.append(Problem(f"{name} is not allowed", location=place, hint="write the value out"))
    if problems:
        raise DocumentError(f"{what} {path} uses YAML that is not allowed", problems)


def _place(node: Node, path: str) -> Location:
    return Location(path, node.start_mark.line + 1, node.start_mark.column + 1)


def _build(node: Node, where: Path_, document: Document, problems: list[Problem]) -> Any:
    document.values[where] = _place(node, document.path)
    if len(where) > MAXIMUM_DEPTH:
        problems.append(Problem("nested too deeply", location=document.values[where]))
        return None
    if isinstance(node, ScalarNode):
        return _scalar(node, document.path, problems)
    if isinstance(node, SequenceNode):
        return [_build(item, (*where, index), document, problems) for index, item in enumerate(node.value)]
    result: dict[str, Any] = {}
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            place = _place(key_node, document.path)
            if not isinstance(key_node, ScalarNode):
                problems.append(Problem("a key must be plain text", location=place))
                continue
            key = key_node.value
            if key_node.style is None:
                if key == "<<":
                    problems.append(Problem("merge keys (<<) are not allowed", location=place))
                    continue
                _refuse_ambiguous(key, place, problems)
            if key in result:
                first = document.keys.get((*where, key))
                problems.append(Problem(f"the key {key!r} stands twice", location=place, hint=f"first at {first}"))
                continue
            document.keys[(*where, key)] = place
            result[key] = _build(value_node, (*where, key), document, problems)
    return result


def _refuse_ambiguous(text: str, place: Location, problems: list[Problem]) -> None:
    for pattern, why in _AMBIGUOUS:
        if pattern.fullmatch(text):
            problems.append(Problem(f"{text} has two meanings: {why}", location=place, hint=f'write "{text}"'))
            return


def _scalar(node: ScalarNode, path: str, problems: list[Problem]) -> str | int | float | bool | None:
    text = node.value
    if node.style is not None:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 30 else text  # noqa: PLR2004  a longer one is an identifier, not a number
    if _FLOAT.fullmatch(text):
        return float(text)
    _refuse_ambiguous(text, _place(node, path), problems)
    return text


def suggest(word: str, known: Sequence[str]) -> str:
    """Return `did you mean "x"?` for the nearest known word, or an empty text."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else ""


def problems_of(error: ValidationError, document: Document | None, model: type[BaseModel] | None = None) -> list[Problem]:
    """Return one Problem for each error of a pydantic validation, with its field and, given a document, its place."""
    problems: list[Problem] = []
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        where = tuple(part for part in item["loc"])
        path = _document_path(where, document)
        message, hint = item["msg"].removeprefix("Value error, "), ""
        place = document.locate(path) if document else None
        if item["type"] == "extra_forbidden":
            message = f"unknown key {str(where[-1])!r}"
            place = document.locate_key(path) if document else None
            hint = suggest(str(where[-1]), _known_fields(model, path[:-1])) if model else ""
        elif item["type"] == "missing":
            message = "is missing and must be given"
        problems.append(Problem(message, ".".join(str(part) for part in path), place, hint))
    return problems


def _document_path(where: tuple[str | int, ...], document: Document | None) -> tuple[str | int, ...]:
    """Drop the parts of a pydantic location that name a union member, not a key of the document."""
    if document is None:
        return where
    kept: list[str | int] = []
    current: Any = document.data
    for position, part in enumerate(where):
        last = position == len(where) - 1
        present, inner = _step(current, part)
        if present:
            current = inner
        elif not (last and isinstance(current, dict) and isinstance(part, str) and part.isidentifier()):
            continue
        kept.append(part)
    return tuple(kept)


def _step(current: Any, part: str | int) -> tuple[bool, Any]:
    """Return whether `part` leads further into plain data, and what is there."""
    if isinstance(current, dict):
        mapping = cast("dict[str | int, Any]", current)
        return part in mapping, mapping.get(part)
    if isinstance(current, list) and isinstance(part, int):
        items = cast("list[Any]", current)
        return part < len(items), items[part] if part < len(items) else None
    return False, None


def _known_fields(model: type[BaseModel] | None, where: Sequence[str | int]) -> list[str]:
    """Return the field names of the model at a path; nested models are found through their annotations."""
    if model is None:
        return []
    current: type[BaseModel] = model
    for part in where:
        if isinstance(part, int) or part not in _names(current):
            continue
        inner = _models_in(next(f for n, f in current.model_fields.items() if part in (n, f.alias)).annotation)
        if not inner:
            return []
        current = inner[0]
    return _names(current)


def _names(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for argument in get_args(annotation):
        found += _models_in(argument)
    return found


def read_model(model: type[Model], document: Document, what: str, error: type[DocumentError] = DocumentError) -> Model:
    """Return `model` filled from a document. Raises `error` listing every fault with its place and field."""
    try:
        return model.model_validate(document.data)
    except ValidationError as problem:
        raise error(f"{what} {document.path} has faults", problems_of(problem, document, model)) from problem
