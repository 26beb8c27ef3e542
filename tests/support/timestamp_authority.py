"""A local RFC 3161 authority: plain openssl on files, and an HTTP server in front of it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.needs import need_program, need_shared


@dataclass
class Authority:
    """A folder with keys; `ca` is what verifiers trust."""

    folder: Path
    section: str = "tsa1"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def openssl(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([need_program("openssl"), *arguments], cwd=self.folder, capture_output=True, check=False)

    def answer(self, request: bytes) -> bytes:
        (self.folder / "request").write_bytes(request)
        done = self.openssl(
            "ts", "-reply", "-config", "tsa.cnf", "-section", self.section, "-queryfile", "request", "-out", "reply"
        )
        assert done.returncode == 0, done.stderr
        return (self.folder / "reply").read_bytes()


def make_authority(folder: Path, *, days: int = 3650, several_certificates: bool = False) -> Authority:
    """Make a root and a signer (P-256) in a folder of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = need_shared("tools/evidence/tsa.cnf")
    shutil.copyfile(configuration, folder / "tsa.cnf")
    authority = Authority(folder)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-config", "tsa.cnf")
    steps = [
        ("req", "-x509", *key, "-days", "3650", "-extensions", "v3_ca", "-subj", "/CN=Test TSA root", "-keyout", "ca.key",
         "-out", "ca.pem"),
        ("req", "-new", *key, "-subj", "/CN=Test TSA", "-keyout", "tsa.key", "-out", "tsa.csr"),
        ("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", str(days), "-sha256",
         "-extfile", "tsa.cnf", "-extensions", "v3_tsa", "-out", "tsa.pem"),
    ]  # fmt: skip
    for step in steps:
        done = authority.openssl(*step)
        assert done.returncode == 0, done.stderr
    if several_certificates:
        text = (folder / "tsa.cnf").read_text()
        (folder / "tsa.cnf").write_text(text.replace("signer_cert =", "certs = ./ca.pem\nsigner_cert ="))
    return authority


@contextmanager
def serve(authority: Authority, *, status: int = 200) -> Generator[str]:
    """Answer requests on a port of this machine; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
