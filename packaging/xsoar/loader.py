# Imports the package `snaphold` from the sources above: the same modules as in the repository, unchanged.
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import CodeType, ModuleType
from typing import Any

SNAPHOLD_FOLDER = "<snaphold in this integration>"


class SnapholdFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads modules from the sources. `folder` is set where it lists what a package holds."""

    def __init__(self, sources: Mapping[str, str], digest: str, folder: str = "") -> None:
        self.sources = sources
        self.digest = digest
        self.folder = folder

    def _path(self, name: str) -> str:
        base = name.replace(".", "/")
        return next((path for path in (base + ".py", base + "/__init__.py") if path in self.sources), "")

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "importlib.machinery.ModuleSpec | None":
        """Return where a module stands; a part of `snaphold` that is not here is not looked for elsewhere."""
        if fullname != "snaphold" and not fullname.startswith("snaphold."):
            return None
        found = self._path(fullname)
        if not found:
            raise ModuleNotFoundError(fullname + " is not part of this integration", name=fullname)
        package = found.endswith("/__init__.py")
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=SNAPHOLD_FOLDER + "/" + found, is_package=package)
        if package:
            spec.submodule_search_locations = [SNAPHOLD_FOLDER + "/" + found[: -len("/__init__.py")]]
        return spec

    def get_source(self, fullname: str) -> str:
        """Return a module's source, for messages."""
        return self.sources[self._path(fullname)]

    def get_code(self, fullname: str) -> CodeType:
        """Return a module's code."""
        path = self._path(fullname)
        return compile(self.sources[path], SNAPHOLD_FOLDER + "/" + path, "exec", dont_inherit=True)

    def is_package(self, fullname: str) -> bool:
        """Return whether a module is a package."""
        return self._path(fullname).endswith("/__init__.py")

    def iter_modules(self, prefix: str = "") -> "Iterator[tuple[str, bool]]":
        """Yield the modules of `folder` by name, and whether each is a package, as pkgutil asks for them."""
        for path in sorted(self.sources):
            folder, _, file = path.rpartition("/")
            if folder == self.folder and file != "__init__.py":
                yield prefix + file[: -len(".py")], False
            elif file == "__init__.py" and folder.rpartition("/")[0] == self.folder:
                yield prefix + folder.rpartition("/")[2], True


class SnapholdPathHook:
    """Gives pkgutil a finder for the folders of the package."""

    def __init__(self, sources: Mapping[str, str], digest: str) -> None:
        self.sources = sources
        self.digest = digest

    def __call__(self, path: str) -> SnapholdFinder:
        if not str(path).startswith(SNAPHOLD_FOLDER):
            raise ImportError(path)
        return SnapholdFinder(self.sources, self.digest, str(path)[len(SNAPHOLD_FOLDER) + 1 :])


def install_snaphold(sources: Mapping[str, str], digest: str) -> None:
    """Make `snaphold` importable. A container may live on and hold the modules of an older pack: they are dropped."""
    if any(getattr(finder, "digest", "") == digest for finder in sys.meta_path):
        return
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != SnapholdFinder.__name__]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if type(hook).__name__ != SnapholdPathHook.__name__]
    for name in [name for name in sys.modules if name == "snaphold" or name.startswith("snaphold.")]:
        del sys.modules[name]
    for path in [path for path in sys.path_importer_cache if str(path).startswith(SNAPHOLD_FOLDER)]:
        del sys.path_importer_cache[path]
    hooks: list[Any] = sys.path_hooks
    hooks.insert(0, SnapholdPathHook(sources, digest))
    sys.meta_path.insert(0, SnapholdFinder(sources, digest))
