"""Wheel and sdist: they hold what they must, and they work without the checkout."""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support.needs import need_program

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 550
EPOCH = "1780000000"


def run(*argv: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of the checkout on Python's path; it must succeed."""
    done = attempt(*argv, folder=folder, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def attempt(*argv: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing of the checkout on Python's path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return subprocess.run(
        [str(word) for word in argv], cwd=folder, env={**kept, **environment}, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip


def copy_checkout(target: Path) -> Path:
    """Copy what git would keep of the checkout, so that building leaves nothing behind in it; return the copy."""
    git = need_program("git")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        source = ROOT / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_bytes(source.read_bytes())
    return target


def build(source: Path, into: Path, *options: str) -> None:
    """Build with what is installed: nothing is fetched."""
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", into, source, folder=into, SOURCE_DATE_EPOCH=EPOCH)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout."""
    return copy_checkout(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build(source, folder, "--wheel", "--sdist")
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel."""
    (found,) = built.glob("*.whl")
    return found


def test_the_package_list_in_setup_cfg_is_the_tree() -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = set(settings["options"]["packages"].split())
    top = ROOT / "integrations"
    found = {".".join(path.parent.relative_to(top).parts) for path in (top / "snaphold").rglob("__init__.py")}
    assert listed == found | {"snaphold.playbooks", "snaphold.schemas"}


def test_the_folder_packaging_is_not_a_package() -> None:
    assert not (ROOT / "packaging" / "__init__.py").exists()


@pytest.mark.slow
def test_the_wheel_holds_every_module_playbook_and_schema(wheel: Path, source: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    top = source / "integrations"
    modules = {path.relative_to(top).as_posix() for path in (top / "snaphold").rglob("*") if path.is_file()}
    data = {f"snaphold/{path.relative_to(source).as_posix()}" for path in (source / "playbooks").rglob("*.yaml")}
    data |= {f"snaphold/{path.relative_to(source).as_posix()}" for path in (source / "schemas").glob("*.json")}
    wanted = {name for name in modules if "__pycache__" not in name} | data
    assert "snaphold/playbooks/ransomware-response.yaml" in wanted
    assert wanted <= names
    assert {name.split("/")[0] for name in names} == {"snaphold", wheel.name.split("-py3")[0] + ".dist-info"}


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (tmp_path / "again").mkdir()
    build(unpacked, tmp_path / "again", "--wheel")
    (again,) = (tmp_path / "again").glob("*.whl")
    assert digests(again) == digests(wheel)


@pytest.mark.slow
def test_the_same_source_gives_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    build(source, tmp_path, "--wheel")
    (again,) = tmp_path.glob("*.whl")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def digests(archive: Path) -> dict[str, str]:
    """Return what a wheel holds, by name, as digests: pytest would explain for minutes how two contents differ."""
    with zipfile.ZipFile(archive) as opened:
        return {name: hashlib.sha256(opened.read(name)).hexdigest() for name in opened.namelist()}


@pytest.mark.slow
def test_the_wheel_runs_the_demonstration_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    snaphold = python.with_name("snaphold")
    environment(tmp_path)
    install(python, f"{wheel}[run,evidence,transfer]")
    where = run(python, "-c", "import snaphold; print(snaphold.__file__)", folder=tmp_path).stdout
    assert where.startswith(str(tmp_path / "venv"))
    assert run(snaphold, "--version", folder=tmp_path).stdout.startswith("snaphold ")
    run(snaphold, "playbook", "lint", "ransomware-response", folder=tmp_path)
    told = run(snaphold, "demo", "--dir", tmp_path / "demo", "--engine", "rclone", folder=tmp_path).stdout
    assert "mass encryption" in told
    assert (tmp_path / "demo" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["editable_mode=lenient", "editable_mode=strict", "editable_mode=compat"])
def test_an_editable_install_finds_playbooks_and_schemas(source: Path, mode: str, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    environment(tmp_path)
    install(python, "--no-deps", f"--config-settings={mode}", "-e", source)
    add_dependencies(python)
    code = "import sys; from snaphold.cli.main import main; sys.exit(main(['playbook', 'lint', 'ransomware-response']))"
    run(python, "-c", code, folder=tmp_path)
    assert str(source) in run(python, "-c", "import snaphold; print(snaphold.__file__)", folder=tmp_path).stdout


def environment(folder: Path) -> None:
    """Make an empty environment; `uv` does it in a tenth of the time, and is there wherever the tests are developed."""
    uv = shutil.which("uv")
    maker = [uv, "venv", "-q", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    run(*maker, folder / "venv", folder=folder)


def install(python: Path, *words: str | Path) -> None:
    """Install into an environment.

    What this machine has had before is not asked for again: a package index may fail for a moment.
    """
    uv = shutil.which("uv")
    installer = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    if uv and attempt(*installer, "-q", "--offline", *words, folder=python.parents[2]).returncode == 0:
        return
    run(*installer, "-q", *words, folder=python.parents[2])


def add_dependencies(python: Path) -> None:
    """Let an environment see the packages of this one, after its own."""
    (own,) = python.parents[1].glob("lib/python3*/site-packages")
    paths = [path for path in sys.path if path.endswith("site-packages")]
    (own / "dependencies.pth").write_text("".join(f"{path}\n" for path in paths))


@pytest.mark.slow
def test_the_tests_run_where_only_the_dependencies_are_installed(source: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.path[:] = [p for p in sys.path if not p.endswith('integrations')]\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if '__editable__' not in getattr(f, '__module__', '')]\n"
        "try:\n    import snaphold\nexcept ImportError: pass\nelse: sys.exit('the package is still installed')\n"
        "import pytest\n"
        "sys.exit(pytest.main(['-q', '-n', '0', '-p', 'no:cacheprovider', 'tests/test_clock.py', 'tests/report']))\n"
    )
    assert " passed" in run(sys.executable, "-c", code, folder=source).stdout
