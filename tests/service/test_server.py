"""Where the service listens, and what it refuses to do there."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from snaphold.clock import FixedClock
from snaphold.errors import InputError, StorageError
from snaphold.ledger.database import DatabaseLedger
from snaphold.runtime import Runtime
from snaphold.service.server import Listening, Place
from snaphold.service.tokens import create_token
from support.ledgers import NOW, actor, configure
from support.needs import need_program
from support.service_lab import ServiceLab
from support.service_process import Serving
from support.small_estate import build, snaphold
from support.waiting import wait_for


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    configuration = configure(tmp_path, sign=False)
    clock = FixedClock(NOW)
    return Runtime(configuration, DatabaseLedger.open(configuration, clock), clock, actor(configuration))


def result_of(url: str, reply: requests.Response, headers: dict[str, str]) -> dict[str, Any]:
    """Return what became of an action, also when the machine was so busy that it was answered with a job."""
    if reply.status_code == 200:
        return reply.json()
    assert reply.status_code == 202, reply.text
    jobs: list[dict[str, Any]] = []

    def has_ended() -> bool:
        jobs.append(requests.get(url + reply.headers["Location"], headers=headers, timeout=240).json())
        return jobs[-1]["state"] != "running"

    wait_for(has_ended)
    assert jobs[-1]["state"] == "done", jobs[-1]
    return jobs[-1]["result"]


def listen(runtime: Runtime, **place: Any) -> Listening:
    return Listening(runtime, Path("snaphold.yaml"), Place(port=0, **place))


def test_beyond_this_machine_tls_and_a_token_are_needed(runtime: Runtime, certificate: tuple[Path, Path]) -> None:
    secure = {"certificate": certificate[0], "key": certificate[1]}
    with pytest.raises(InputError, match="without TLS"):
        listen(runtime, host="0.0.0.0")  # noqa: S104
    with pytest.raises(InputError, match="without tokens"):
        listen(runtime, host="0.0.0.0", **secure)  # noqa: S104
    _, _ = create_token(runtime, "ana")
    assert listen(runtime, host="0.0.0.0", **secure).url.startswith("https://0.0.0.0:")  # noqa: S104


def test_an_expired_token_does_not_open_the_network(runtime: Runtime, certificate: tuple[Path, Path]) -> None:
    create_token(runtime, "ana")
    assert isinstance(runtime.clock, FixedClock)
    runtime.clock.advance(91 * 86400)
    with pytest.raises(InputError, match="without tokens"):
        listen(runtime, host="0.0.0.0", certificate=certificate[0], key=certificate[1])  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3"])
def test_this_machine_is_served_without_tls(runtime: Runtime, host: str) -> None:
    assert listen(runtime, host=host).url.startswith(f"http://{host}:")


def test_a_place_that_cannot_be_had_is_told(runtime: Runtime) -> None:
    first = listen(runtime)
    with pytest.raises(StorageError, match="cannot be listened on"):
        Listening(runtime, Path("snaphold.yaml"), Place(port=int(first.url.rpartition(":")[2])))
    with pytest.raises(InputError, match="not an IP"):
        listen(runtime, host="example.org")


def test_a_certificate_or_key_that_is_no_good_is_told(runtime: Runtime, certificate: tuple[Path, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nothing")
    wrong.chmod(0o600)
    with pytest.raises(InputError, match="both a certificate and a key"):
        listen(runtime, certificate=certificate[0])
    for given in ((wrong, certificate[1]), (certificate[0], wrong), (tmp_path / "none", certificate[1])):
        with pytest.raises(InputError, match="TLS cannot be set up"):
            listen(runtime, certificate=given[0], key=given[1])
    open_key = tmp_path / "open.pem"
    open_key.write_bytes(certificate[1].read_bytes())
    open_key.chmod(0o644)
    with pytest.raises(InputError, match="read by others"):
        listen(runtime, certificate=certificate[0], key=open_key)


def test_a_body_that_never_ends_is_given_up(lab: ServiceLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snaphold.service.requests.BODY_WITHIN_SECONDS", 0.2)
    port = int(lab.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=240) as connection:
        head = f"POST /v1/actions/toy.read HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {lab.tokens['ana']}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
        assert b"408" in connection.recv(65536).partition(b"\r\n")[0]


def test_a_body_in_chunks_counts_too(lab: ServiceLab) -> None:
    def chunks() -> Any:
        for _ in range(40):
            yield b" " * 65536

    reply = requests.post(
        f"{lab.url}/v1/actions/toy.read", data=chunks(), timeout=240,
        headers={"Authorization": f"Bearer {lab.tokens['ana']}", "Content-Type": "application/json"},
    )  # fmt: skip
    assert reply.status_code == 413


@pytest.mark.slow
def test_the_command_serves_over_tls_and_ends_in_order(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    folder = build(tmp_path)
    made = snaphold(folder, "token", "create", "--person", "ana", "--role", "soc", "--expires", "2h", "--json")
    token = json.loads(made.out)
    assert (made.code, token["person"], token["state"]) == (0, "ana", "valid")
    serving = Serving(folder, "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
    try:
        headers = {"Authorization": f"Bearer {token['token']}"}
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{serving.url}/healthz", timeout=240)
        who = requests.get(f"{serving.url}/v1/whoami", headers=headers, verify=str(certificate[0]), timeout=240)
        assert (who.status_code, who.json()["token"]) == (200, token["id"])
        assert snaphold(folder, "token", "revoke", token["id"]).code == 0
        assert (
            requests.get(f"{serving.url}/v1/whoami", headers=headers, verify=str(certificate[0]), timeout=240).status_code == 401
        )
    finally:
        code, out, err = serving.end()
    assert (code, json.loads(out)["message_type"]) == (0, "stopped")
    assert token["token"] not in err
    assert "Traceback" not in err
    listed = snaphold(folder, "token", "list")
    assert ("revoked" in listed.out, token["token"] in listed.out) == (True, False)


@pytest.mark.slow
def test_a_backup_over_the_service_outlives_its_restart(tmp_path: Path) -> None:
    need_program("restic")
    folder = build(tmp_path)
    token = json.loads(snaphold(folder, "token", "create", "--person", "ana", "--json").out)["token"]
    incident = json.loads((folder / "incident.json").read_text())
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "INC-1/soar/files-01/1", "X-Snaphold-Justification": "Test"}
    serving = Serving(folder)
    try:
        start = {"asset": "files-01", "incident": incident}
        reply = requests.post(f"{serving.url}/v1/actions/backup.start", json=start, headers=headers, timeout=240)
        job = result_of(serving.url, reply, headers)
    finally:
        assert serving.end(signal.SIGINT)[0] == 0
    serving = Serving(folder)
    try:
        again = requests.post(f"{serving.url}/v1/actions/backup.start", json=start, headers=headers, timeout=240)
        assert result_of(serving.url, again, headers) == job
        wanted = {"incident": "INC-1", "asset": "files-01", "pool": job["pool"], "job": job["job"]}
        deadline, status = time.monotonic() + 240, {"state": "running"}
        while time.monotonic() < deadline:
            status = requests.post(f"{serving.url}/v1/actions/backup.status", json=wanted, headers=headers, timeout=240).json()
            if status["state"] != "running":
                break
            time.sleep(0.2)
        assert (status["state"], status["outcome"]) == ("done", "succeeded"), status
    finally:
        assert serving.end()[0] == 0


@pytest.mark.slow
def test_a_killed_service_leaves_work_that_is_looked_up(tmp_path: Path) -> None:
    """SIGKILL while an action is at work: the same key is never taken for a success, and a repeat settles it."""
    need_program("restic")
    folder = build(tmp_path)
    token = json.loads(snaphold(folder, "token", "create", "--person", "ana", "--json").out)["token"]
    incident = json.loads((folder / "incident.json").read_text())
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "INC-1/soar/files-01/1",
               "X-Snaphold-Justification": "Test", "Prefer": "respond-async"}  # fmt: skip
    serving = Serving(folder)
    start = {"asset": "files-01", "incident": incident}
    first = requests.post(f"{serving.url}/v1/actions/backup.start", json=start, headers=headers, timeout=240)
    assert first.status_code in (200, 202)
    serving.process.kill()
    serving.process.communicate(timeout=240)
    serving = Serving(folder)
    try:
        if first.status_code == 202:
            job = requests.get(serving.url + first.headers["Location"], headers=headers, timeout=240).json()
            assert job["state"] in ("unknown", "done")
        headers["Prefer"] = "wait=20"
        again = requests.post(f"{serving.url}/v1/actions/backup.start", json=start, headers=headers, timeout=240)
        assert result_of(serving.url, again, headers)["outcome"] == "succeeded", again.text
    finally:
        serving.end()
    jobs = list((folder / "state/jobs").iterdir())
    assert len(jobs) == 1
