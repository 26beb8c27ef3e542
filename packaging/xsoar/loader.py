# Imports the package `snaphold` from the sources above: the same modules as in the repository, unchanged.
import importlib.abc  # noqa: E402
import importlib.util  # noqa: E402
import sys  # noqa: E402

SNAPHOLD_FOLDER = "<snaphold in this integration>"


class SnapholdFinder(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Finds and loads modules from the sources. `folder` is set where it lists what a package holds."""

    def __init__(self, sources, digest, folder=""):
        self.sources = sources
        self.digest = digest
        self.folder = folder

    def _path(self, name):
        base = name.replace(".", "/")
        return next((path for path in (base + ".py", base + "/__init__.py") if path in self.sources), None)

    def find_spec(self, name, path=None, target=None):
        found = self._path(name)
        if found is None:
            return None
        package = found.endswith("/__init__.py")
        spec = importlib.util.spec_from_loader(name, self, origin=SNAPHOLD_FOLDER + "/" + found, is_package=package)
        if package:
            spec.submodule_search_locations = [SNAPHOLD_FOLDER + "/" + found[: -len("/__init__.py")]]
        return spec

    def get_source(self, fullname):
        return self.sources[self._path(fullname)]

    def get_code(self, fullname):
        path = self._path(fullname)
        return compile(self.sources[path], SNAPHOLD_FOLDER + "/" + path, "exec", dont_inherit=True)

    def is_package(self, fullname):
        return self._path(fullname).endswith("/__init__.py")

    def iter_modules(self, prefix=""):
        for path in sorted(self.sources):
            folder, _, file = path.rpartition("/")
            if folder == self.folder and file != "__init__.py":
                yield prefix + file[: -len(".py")], False
            elif file == "__init__.py" and folder.rpartition("/")[0] == self.folder:
                yield prefix + folder.rpartition("/")[2], True


def install_snaphold(sources, digest):
    """Make `snaphold` importable. A container may live on and hold the modules of an older pack: they are dropped."""
    if any(getattr(finder, "digest", "") == digest for finder in sys.meta_path):
        return
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "SnapholdFinder"]
    sys.path_hooks[:] = [hook for hook in sys.path_hooks if not getattr(hook, "is_snaphold", False)]
    for name in [name for name in sys.modules if name == "snaphold" or name.startswith("snaphold.")]:
        del sys.modules[name]
    for path in [path for path in sys.path_importer_cache if str(path).startswith(SNAPHOLD_FOLDER)]:
        del sys.path_importer_cache[path]

    def hook(path):
        if not str(path).startswith(SNAPHOLD_FOLDER):
            raise ImportError(path)
        return SnapholdFinder(sources, digest, str(path)[len(SNAPHOLD_FOLDER) + 1 :])

    hook.is_snaphold = True
    sys.path_hooks.insert(0, hook)
    sys.meta_path.insert(0, SnapholdFinder(sources, digest))
