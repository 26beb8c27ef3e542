"""Reads YAML and JSON documents strictly, and names file, line, column and field of every fault.

YAML is held to what reads the same in YAML 1.1 and 1.2: duplicate keys, anchors, merge keys, tags, several documents
and plain scalars with two meanings (`yes`, `1:30`, `2026-11-22`, `010`) are refused with the line and the remedy.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from snaphold.errors import DocumentError, InputError, Location, Problem
from snaphold.validation import problems_of, suggest

__all__ = ["Document", "load_document", "parse_document", "problems_of", "read_model", "read_text", "suggest", "uncollected"]

Path_ = tuple["str | int", ...]
Model = TypeVar("Model", bound=BaseModel)

MAXIMUM_BYTES = 64 * 1024 * 1024
MAXIMUM_DEPTH = 40
# libyaml reads the same YAML many times faster; its wheel has it everywhere, but a distribution may leave it out.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LONGEST_READ_TWICE = 1024 * 1024
_DEEP = 200
_BRACKET = re.compile(r"[\[\]{}]")
_DEEP_BLOCK = re.compile(rf"(?m)^[ ]{{{_DEEP}}}|(?:[-?:][ \n]+){{{_DEEP}}}")
_FORBIDDEN_CHARACTERS = re.compile(r"[&*!%]")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_AMBIGUOUS = (
    (re.compile(r"(?i)(yes|no|on|off)|True|TRUE|False|FALSE|Null|NULL"), "YAML 1.1 reads it as a boolean or null"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?"), "YAML 1.1 reads it as a number in base 60"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "YAML 1.1 reads it as a date"),
    (re.compile(r"[-+]?0[0-9_]+|0[xob][0-9a-fA-F_]+|[-+]?[0-9][0-9_]*_[0-9_]*"), "it is a number only in some YAMLs"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|\+[0-9]+"), "it is a number only in some YAMLs"),
)
_AMBIGUOUS_STARTS = frozenset("0123456789+-.yYnNoOtTfF")
_FORBIDDEN_TOKENS: dict[type[yaml.Token], str] = {
    yaml.AnchorToken: "an anchor (&)",
    yaml.AliasToken: "an alias (*)",
    yaml.TagToken: "a tag (!)",
    yaml.DirectiveToken: "a directive (%)",
}


def _no_nodes() -> Node | None:
    """A document that was not read from text has no places."""
    return None


@dataclass
class Document:
    """A parsed document: plain data, and where each value and key stands (found out when first asked for)."""

    path: str
    data: Any
    nodes: Callable[[], Node | None] = _no_nodes

    @cached_property
    def _places(self) -> tuple[dict[Path_, Location], dict[Path_, Location]]:
        values: dict[Path_, Location] = {}
        keys: dict[Path_, Location] = {}
        root = self.nodes()
        waiting: list[tuple[Path_, Node]] = [((), root)] if root is not None else []
        if root is None:
            values[()] = Location(self.path, 1, 1)
        while waiting:
            where, node = waiting.pop()
            values[where] = _place(node, self.path)
            for name, key_node, value_node in _children(node):
                if key_node is not None:
                    keys[(*where, name)] = _place(key_node, self.path)
                waiting.append(((*where, name), value_node))
        return values, keys

    @property
    def values(self) -> dict[Path_, Location]:
        """Where each value stands."""
        return self._places[0]

    @property
    def keys(self) -> dict[Path_, Location]:
        """Where each key stands."""
        return self._places[1]

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
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{what} {path} does not exist", do="check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{what} {path} is not UTF-8 text", f"byte {error.start} does not decode") from error
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read", error.strerror, "check the path and its permissions") from error
    if text.startswith("\ufeff"):
        raise InputError(f"{what} {path} begins with a byte order mark", do="save it as UTF-8 without one")
    return text


def load_document(path: Path, what: str = "document") -> Document:
    """Return the document in a YAML or JSON file. Raises DocumentError with file:line:column, or InputError."""
    return parse_document(read_text(path, what), str(path), what)


def parse_document(text: str, path: str, what: str = "document") -> Document:
    """Return the document in `text`; `path` is only named in errors. A name ending in `.json` is read as JSON."""
    with uncollected():
        return _parse_json(text, path, what) if path.endswith(".json") else _parse_yaml(text, path, what)


def _parse_yaml(text: str, path: str, what: str) -> Document:
    nodes = _compose(text, path, what)
    if len(nodes) != 1:
        problem = Problem(f"found {len(nodes)} documents, one is needed" if nodes else "it is empty")
        raise DocumentError(f"{what} {path} must hold exactly one YAML document", [problem])
    document = Document(path, None, lambda: nodes[0])
    problems: list[Problem] = []
    document.data = _build(nodes[0], 0, path, problems)
    if problems:
        raise DocumentError(f"{what} {path} has faults", problems)
    return document


@contextmanager
def uncollected() -> Generator[None]:
    """Pause the search for garbage: while millions of nodes are made it would take most of the time and find none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _refuse_depth(text: str, path: str, what: str) -> None:
    """Building nodes is recursive, in C where libyaml is used: a bomb of brackets would end the process, not raise."""
    depth = deepest = 0
    for bracket in _BRACKET.finditer(text):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    if deepest <= _DEEP and not _DEEP_BLOCK.search(text):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEP:
            mark = event.start_mark
            place = Location(path, mark.line + 1, mark.column + 1) if mark else None
            problem = Problem("nested too deeply", location=place, hint=f"at most {MAXIMUM_DEPTH} levels")
            raise DocumentError(f"{what} {path} has faults", [problem])


def _compose(text: str, path: str, what: str) -> list[Node]:
    try:
        try:
            _refuse_depth(text, path, what)
            _refuse_tokens(text, path, what)
            return list(yaml.compose_all(text, Loader=_Loader))
        except yaml.YAMLError:
            # The pure reader's messages are the same everywhere; a long document is not worth a second reading.
            if _Loader is not yaml.SafeLoader and len(text) <= _LONGEST_READ_TWICE:
                list(yaml.compose_all(text, Loader=yaml.SafeLoader))
            raise
    except RecursionError as error:
        raise DocumentError(f"{what} {path} is nested too deeply", [Problem("nested too deeply")]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Location(path, mark.line + 1, mark.column + 1) if mark else None
        message = " ".join(part for part in (error.context, error.problem) if part)
        hint = "indent with spaces, not with tabs" if "\\t" in message else ""
        raise DocumentError(f"{what} {path} is not valid YAML", [Problem(message, location=place, hint=hint)]) from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{what} {path} is not valid YAML", [Problem(str(error).splitlines()[0])]) from error


def _parse_json(text: str, path: str, what: str) -> Document:
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen:
                twice.append(key)
            seen[key] = value
        return seen

    def refuse(name: str) -> None:
        raise DocumentError(f"{what} {path} is not valid JSON", [Problem(f"{name} is not a JSON number")])

    try:
        data = json.loads(text, object_pairs_hook=once, parse_constant=refuse)
    except json.JSONDecodeError as error:
        place = Location(path, error.lineno, error.colno)
        raise DocumentError(f"{what} {path} is not valid JSON", [Problem(error.msg, location=place)]) from error
    except RecursionError as error:
        raise DocumentError(f"{what} {path} is nested too deeply", [Problem("nested too deeply")]) from error
    except ValueError as error:
        raise DocumentError(f"{what} {path} is not valid JSON", [Problem("a number has too many digits")]) from error
    document = Document(path, data, lambda: _json_nodes(text))
    if twice:
        raise DocumentError(
            f"{what} {path} has faults", _repeated_keys(document) or [Problem(f"the key {twice[0]!r} stands twice")]
        )
    return document


def _json_nodes(text: str) -> Node | None:
    """JSON is YAML but for tabs, which YAML refuses as indentation; positions are only for messages."""
    try:
        _refuse_depth(text, "", "")
        return yaml.compose(text.replace("\t", " "), Loader=_Loader)
    except (yaml.YAMLError, RecursionError, DocumentError):
        return None


def _repeated_keys(document: Document) -> list[Problem]:
    root, problems = document.nodes(), list[Problem]()
    if root is not None:
        _build(root, 0, document.path, problems)
    return [problem for problem in problems if "stands twice" in problem.message]


def _refuse_tokens(text: str, path: str, what: str) -> None:
    if not _FORBIDDEN_CHARACTERS.search(text):
        return
    problems: list[Problem] = []
    for token in yaml.scan(text, Loader=_Loader):
        name = _FORBIDDEN_TOKENS.get(type(token))
        if name:
            place = Location(path, token.start_mark.line + 1, token.start_mark.column + 1)
            problems.append(Problem(f"{name} is not allowed", location=place, hint="write the value out"))
    if problems:
        raise DocumentError(f"{what} {path} uses YAML that is not allowed", problems)


def _children(node: Node) -> Iterator[tuple[str | int, Node | None, Node]]:
    if isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield index, None, item
    elif isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode):
                yield key_node.value, key_node, value_node


def _place(node: Node, path: str) -> Location:
    return Location(path, node.start_mark.line + 1, node.start_mark.column + 1)


def _build(node: Node, depth: int, path: str, problems: list[Problem]) -> Any:
    if depth > MAXIMUM_DEPTH:
        problems.append(Problem("nested too deeply", location=_place(node, path), hint=f"at most {MAXIMUM_DEPTH} levels"))
        return None
    if isinstance(node, ScalarNode):
        return _scalar(node, path, problems)
    if isinstance(node, SequenceNode):
        return [_build(item, depth + 1, path, problems) for item in node.value]
    result: dict[str, Any] = {}
    first: dict[str, Node] = {}
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                problems.append(Problem("a key must be plain text", location=_place(key_node, path)))
                continue
            key = key_node.value
            if not key_node.style:
                if key == "<<":
                    problems.append(Problem("merge keys (<<) are not allowed", location=_place(key_node, path)))
                    continue
                _refuse_ambiguous(key, key_node, path, problems)
            if key in result:
                hint = f"first at {_place(first[key], path)}"
                problems.append(Problem(f"the key {key!r} stands twice", location=_place(key_node, path), hint=hint))
                continue
            first[key] = key_node
            result[key] = _build(value_node, depth + 1, path, problems)
    return result


def _refuse_ambiguous(text: str, node: Node, path: str, problems: list[Problem]) -> None:
    if text[:1] not in _AMBIGUOUS_STARTS:
        return
    for pattern, why in _AMBIGUOUS:
        if pattern.fullmatch(text):
            problem = Problem(f"{text} has two meanings: {why}", location=_place(node, path), hint=f'write "{text}"')
            problems.append(problem)
            return


def _scalar(node: ScalarNode, path: str, problems: list[Problem]) -> str | int | float | bool | None:
    text = node.value
    if node.style:
        return text
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 30 else text  # noqa: PLR2004  a longer one is an identifier, not a number
    if _FLOAT.fullmatch(text):
        return float(text)
    _refuse_ambiguous(text, node, path, problems)
    return text


def read_model(
    model: type[Model],
    document: Document,
    what: str,
    error: type[DocumentError] = DocumentError,
    context: Mapping[str, Any] | None = None,
) -> Model:
    """Return `model` filled from a document. Raises `error` listing every fault with its place and field.

    `context` is handed to the model's validators.
    """
    try:
        with uncollected():
            return model.model_validate(document.data, context=context)
    except ValidationError as problem:
        raise error(f"{what} {document.path} has faults", problems_of(problem, document, model)) from problem
