"""Turns the modules that an integration needs into one readable script that imports them as they are."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from snaphold.soar.vendors import VENDORS, actions_of, adapter_module

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "integrations"
LOADER = Path(__file__).with_name("xsoar") / "loader.py"
ENTRY = "snaphold.soar.xsoar"
ALSO = ("snaphold.context", "snaphold.documents", "snaphold.soar.xsoar_call")
"""Modules that are imported inside functions when a command runs."""
VENDOR_ALSO = ("snaphold.cross_references", "snaphold.http_session", "snaphold.platforms.base")


def module_file(name: str) -> Path | None:
    """Return the file of a module of the package; None when there is none of that name."""
    base = SOURCES / Path(*name.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def closure(roots: Iterable[str]) -> dict[str, str]:
    """Return the sources of all modules that the roots import at once, directly or not, by relative path, sorted.

    Imports inside functions and under TYPE_CHECKING are left out: they belong to work that happens in the service.
    """
    found: dict[str, str] = {}
    waiting, seen = list(roots), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = module_file(name)
        if path is None:
            continue
        source = path.read_text(encoding="utf-8")
        found[path.relative_to(SOURCES).as_posix()] = source
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        waiting += _imports(ast.parse(source))
    return dict(sorted(found.items()))


def _imports(tree: ast.Module) -> list[str]:
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Try):
            found += _imports(
                ast.Module(body=[*node.body, *(line for part in node.handlers for line in part.body)], type_ignores=[])
            )
    return [name for name in found if name.partition(".")[0] == "snaphold"]


def action_modules() -> list[str]:
    """Return the modules of all actions: the catalogue looks for them by name."""
    return [f"snaphold.actions.{path.stem}" for path in sorted((SOURCES / "snaphold" / "actions").glob("*.py"))]


def package_sources() -> dict[str, str]:
    """Return the sources that travel inside the integration."""
    roots = [ENTRY, *ALSO, *(name for name in action_modules() if not name.endswith("__init__"))]
    return closure([*roots, "snaphold.actions"])


def vendor_sources(kind: str) -> dict[str, str]:
    """Return the sources that travel inside the integration of one vendor: its adapter and the actions that it can do."""
    actions = {entry.function.__module__ for entry in actions_of(kind).values()}
    adapter = adapter_module(kind)
    roots = ["snaphold.soar.xsoar_vendor", f"{adapter.rpartition('.')[0]}.registry", adapter, "snaphold.actions"]
    follows = ["snaphold.soar.xsoar_follow"] if VENDORS[kind].storage else []
    return closure([*roots, *VENDOR_ALSO, *ALSO, *follows, *sorted(actions)])


def script(items: Mapping[str, Any], sources: Mapping[str, str] | None = None, entry: str = ENTRY) -> str:
    """Return an integration's script: `items` is what it is told of itself, e.g. what the pack should install."""
    sources = package_sources() if sources is None else dict(sources)
    digest = hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()
    lines = [
        "import demistomock as demisto",
        "from CommonServerPython import *",
        "",
        "# Built by packaging/xsoar_pack.py. What follows is the package snaphold, module by module, as it is in its repository.",
        "SNAPHOLD_SOURCES = {}",
        "",
    ]
    for path, source in sources.items():
        lines += [f"SNAPHOLD_SOURCES[{path!r}] = {literal(source)}", ""]
    lines += [
        LOADER.read_text(encoding="utf-8").rstrip(),
        "",
        "",
        f"SNAPHOLD_DIGEST = {digest!r}",
        f"SNAPHOLD_ITEMS = {json.dumps(items, indent=1, sort_keys=True, ensure_ascii=True)}",
        "",
        "",
        "def main():",
        "    install_snaphold(SNAPHOLD_SOURCES, SNAPHOLD_DIGEST)",
        "    try:",
        f"        from {entry} import run",
        "    except ImportError as error:",
        "        return_error(",
        "            'Snaphold cannot start in this Docker image.\\nWhy: %s\\n'",
        "            'Do: choose a newer tag of demisto/py3-tools; it needs Python 3.10 and pydantic 2.' % error",
        "        )",
        "        return",
        "",
        "    run(globals(), SNAPHOLD_ITEMS)",
        "",
        "",
        'if __name__ in ("__main__", "__builtin__", "builtins"):',
        "    main()",
        "",
    ]
    return "\n".join(lines)


def literal(source: str) -> str:
    """Return Python text that stands for `source` and can be read: raw and in triple quotes when that is possible."""
    if "'''" not in source and "\r" not in source and source.endswith("\n"):
        return f"r'''{source}'''"
    return repr(source)
