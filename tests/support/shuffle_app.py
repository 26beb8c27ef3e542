"""Runs actions of the built Shuffle app with the real SDK, against the backend stub and a small Snaphold service."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from support.needs import missing, need_shared

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "snp_0123456789abcdef-secret-of-the-test"
SECONDS = 240


def sdk_python() -> str:
    """Return the interpreter that has the pinned SDK; `make .venv-shuffle/.dev` makes it."""
    path = ROOT / ".venv-shuffle" / "bin" / "python"
    if not path.exists():
        missing("there is no .venv-shuffle with shuffle-sdk; `make .venv-shuffle/.dev` makes it")
    return str(path)


def backend() -> ModuleType:
    """Return the module of the backend stub."""
    path = need_shared("tools/shuffle/stub.py")
    spec = importlib.util.spec_from_file_location("shuffle_stub", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shuffle_stub"] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class Service:
    """What the small Snaphold service was asked, and what it answers: a result, or (status, document)."""

    answers: Mapping[str, Any]
    asked: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list[Any])
    url: str = ""


@contextmanager
def service(answers: Mapping[str, Any]) -> Generator[Service]:
    """Serve on the loopback address until the block ends."""
    state = Service(answers)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

        def _reply(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            kind = "application/json" if status < 400 else "application/problem+json"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            name = self.path.rpartition("/")[2]
            state.asked.append((name, body, {key.lower(): value for key, value in self.headers.items()}))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                problem = {"type": "urn:snaphold:problem:not-authorised", "detail": "the token is not known"}
                self._reply(401, problem)
                return
            found = state.answers[name]
            status, document = found if isinstance(found, tuple) else (200, found)
            self._reply(status, document)

        def do_GET(self) -> None:
            found = state.answers[self.path]
            status, document = found if isinstance(found, tuple) else (200, found)
            self._reply(status, document)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Ran:
    """What came of one action: the status, the result as text, what the SDK posted, and what the process wrote."""

    status: str
    text: str
    posted: str
    written: str

    @property
    def result(self) -> dict[str, Any]:
        """The result as JSON."""
        return json.loads(self.text)


class App:
    """The built app in a folder, with our package from its own wheel."""

    def __init__(self, folder: Path, files: Mapping[str, bytes]) -> None:
        self.python = sdk_python()
        self.stub = backend()
        self.package = folder / "package"
        for name, content in files.items():
            if "/wheels/" in name:
                zipfile.ZipFile(BytesIO(content)).extractall(self.package)
            elif name.endswith("src/app.py"):
                (folder / "app.py").write_bytes(content)
        patience = Path(__file__).with_name("shuffle_patience.py")
        (self.package / "sitecustomize.py").write_bytes(patience.read_bytes())
        self.folder = folder
        self.cache: dict[str, str] = {}
        self._forks: subprocess.Popen[str] | None = None

    def __enter__(self) -> App:
        return self

    def __exit__(self, *_: object) -> None:
        if self._forks is not None:
            self._forks.kill()
            self._forks.communicate()
            self._forks = None

    def execution(
        self, name: str, parameters: Mapping[str, Any], results: Sequence[str] = (), argument: str = "",
        conditions: Sequence[tuple[str, str, str]] = (),
    ) -> tuple[dict[str, Any], dict[str, Any]]:  # fmt: skip
        """Return the action and the execution as Shuffle would give them."""
        given = [f"{key}={value}" for key, value in parameters.items()]
        told = SimpleNamespace(
            action=None, app_name="Snaphold", label=None, name=name, param=given,
            condition=conditions, result=list(results), argument=argument, parent_status="SUCCESS", variable=[],
        )  # fmt: skip
        action = self.stub.build_action(told)
        return action, self.stub.build_execution(told, action)

    def environment(self) -> dict[str, str]:
        """Return the environment of the app's process."""
        kept = {key: value for key, value in os.environ.items() if "proxy" not in key.lower() and not key.startswith("PYTHON")}
        return {**kept, "PYTHONPATH": str(self.package), "PYTHONDONTWRITEBYTECODE": "1", "SHUFFLE_APP_SDK_TIMEOUT": str(SECONDS)}

    def run(
        self, name: str, parameters: Mapping[str, Any], *, anew: bool = False, folder: Path | None = None, **options: Any
    ) -> Ran:
        """Run one action in the SDK's env mode, in a process of its own.

        `anew` starts Python for it; else the process is forked from one that has imported the SDK, which is much faster.
        """
        action, execution = self.execution(name, parameters, **options)
        server = self.stub.Backend(0, execution, None)
        server.cache = self.cache
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            environment = {**self.environment(), **self.stub.app_environment(server.server_address[1], action, [])}
            environment["PYTHONPATH"] = str(self.package)
            started = self._start if anew else self._fork
            written = started(environment, folder or self.folder)
        finally:
            server.shutdown()
            server.server_close()
        assert server.result is not None, written
        posted = server.result
        return Ran(posted["status"], posted["result"], json.dumps(posted), written)

    def _start(self, environment: dict[str, str], folder: Path) -> str:
        done = subprocess.run(
            [self.python, "app.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        return done.stdout + done.stderr

    def _fork(self, environment: dict[str, str], folder: Path) -> str:
        if self._forks is None:
            argv = [self.python, str(Path(__file__).with_name("shuffle_forks.py"))]
            self._forks = subprocess.Popen(
                argv, cwd=self.folder, env=self.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        written = self.package.with_name("written")
        order = {"environment": environment, "folder": str(folder), "written": str(written)}
        self._forks.stdin.write(json.dumps(order) + "\n")
        self._forks.stdin.flush()
        assert self._forks.stdout.readline(), "the process that forks has ended"
        return written.read_text(encoding="utf-8", errors="replace")

    @contextmanager
    def serving(self, port: int) -> Generator[None]:
        """Run the app in the SDK's server mode, bound to the loopback address."""
        starter = (
            "import runpy, waitress\nreal = waitress.serve\n"
            "waitress.serve = lambda app, **kw: real(app, **{**kw, 'host': '127.0.0.1'})\n"
            "runpy.run_path('app.py', run_name='__main__')\n"
        )
        environment = {
            **self.environment(),
            "SHUFFLE_SWARM_CONFIG": "run",
            "SHUFFLE_APP_EXPOSED_PORT": str(port),
            "SHUFFLE_APP_SDK_WAITRESS_CHANNEL_TIMEOUT": str(SECONDS),  # else it may leave who is slow to ask
        }
        process = subprocess.Popen(
            [self.python, "-c", starter], cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(port)
            yield
        finally:
            process.terminate()
            process.wait(SECONDS)


def wait_for(port: int) -> None:
    """Wait until the app answers."""
    import requests

    end = time.monotonic() + SECONDS
    while True:
        try:
            assert requests.get(f"http://127.0.0.1:{port}/api/v1/health", timeout=SECONDS).text == "OK"
            return
        except requests.ConnectionError:
            assert time.monotonic() < end, "the app does not answer"
            time.sleep(0.1)
