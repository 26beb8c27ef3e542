"""What must hold for the tree: packages, module sizes, names, and who may print."""

from __future__ import annotations

import ast
import configparser
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snaphold.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "integrations/snaphold"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST_MODULE = 400
LONGEST_MEDIAN = 150
FORBIDDEN_NAMES = ("util", "utils", "helper", "helpers", "manager", "managers", "common", "misc")
MAY_PRINT = ("cli/", "demo/")


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def setup_lines(section: str, key: str) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser[section][key].split()


def test_every_package_of_the_tree_is_shipped() -> None:
    found = {"snaphold"} | {
        "snaphold." + name_of(path.parent).replace("/", ".")
        for path in MODULES
        if path.name == "__init__.py" and path.parent != PACKAGE
    }
    data = {"snaphold.playbooks", "snaphold.schemas"}
    assert set(setup_lines("options", "packages")) == found | data


def test_every_folder_with_code_is_a_package() -> None:
    assert [name_of(path) for path in MODULES if not (path.parent / "__init__.py").exists()] == []


def test_every_data_file_of_the_package_is_shipped() -> None:
    shipped = configparser.ConfigParser()
    shipped.read(ROOT / "setup.cfg")
    patterns = {(package, pattern) for package, text in shipped["options.package_data"].items() for pattern in text.split()}
    # While Python writes what it has compiled, the file has another ending for a moment.
    others = [
        path for path in PACKAGE.rglob("*") if path.suffix != ".py" and path.parent.name != "__pycache__" and path.is_file()
    ]
    for path in others:
        parts = path.relative_to(PACKAGE).parts
        # A pattern counts from its package, which may lie several folders above the file.
        places = {(".".join(("snaphold", *parts[:depth])), "/".join(parts[depth:])) for depth in range(len(parts))}
        assert any(
            (where == package or (where == "*" and "/" not in inside)) and Path(inside).match(pattern.rstrip(","))
            for where, pattern in patterns
            for package, inside in places
        ), f"{name_of(path)} is not in options.package_data"


def test_modules_are_small() -> None:
    sizes = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > LONGEST_MODULE} == {}
    assert statistics.median(size for size in sizes.values() if size > 3) <= LONGEST_MEDIAN


def test_names_say_what_a_module_is_about() -> None:
    parts = [
        (name_of(path), word)
        for path in MODULES
        for part in path.relative_to(PACKAGE).with_suffix("").parts
        for word in part.split("_")
    ]
    assert [name for name, word in parts if word in FORBIDDEN_NAMES] == []


def test_every_module_says_what_it_is() -> None:
    assert [name_of(path) for path in MODULES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_every_command_has_its_file() -> None:
    files = {path.stem.replace("_", "-") for path in (PACKAGE / "cli/commands").glob("*.py")} - {"--init--"}
    assert files == set(COMMANDS)
    assert list(COMMANDS) == sorted(COMMANDS)


def test_the_folder_packaging_does_not_hide_the_distribution_of_that_name() -> None:
    assert not (ROOT / "packaging/__init__.py").exists()


def printing(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sys":
            if node.attr in ("stdout", "stderr", "__stdout__", "__stderr__"):
                yield f"{name_of(path)}:{node.lineno}"
        elif isinstance(node, ast.Name) and node.id == "print":
            yield f"{name_of(path)}:{node.lineno}"


def test_only_the_command_line_prints() -> None:
    found = [place for path in MODULES if not name_of(path).startswith(MAY_PRINT) for place in printing(path)]
    assert found == []


def test_only_one_module_starts_children_to_completion() -> None:
    users = [
        name_of(path)
        for path in MODULES
        if "subprocess.run(" in path.read_text(encoding="utf-8") or "shell=True" in path.read_text(encoding="utf-8")
    ]
    assert users == []


@pytest.mark.parametrize("command", ["--help", "--version", ""])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"import sys; from snaphold.cli.main import main; main({command.split()!r}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    heavy = {"sqlalchemy", "dbos", "cryptography", "requests", "stix2", "jsonschema", "pydantic", "yaml"}
    assert heavy.intersection(done.stderr.split()) == set()


def test_the_catalogue_loads_nothing_heavy() -> None:
    code = "import sys; from snaphold.action import catalogue; catalogue(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True)
    heavy = {"sqlalchemy", "dbos", "cryptography", "requests", "stix2", "jsonschema", "rfc3161_client"}
    assert heavy.intersection(done.stdout.split()) == set()
