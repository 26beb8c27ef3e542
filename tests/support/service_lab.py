"""A real service on a free port of this machine, with toy actions, tokens, and plain requests to it."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snaphold.action import AnyAction, Effect
from snaphold.clock import FixedClock
from snaphold.context import Context
from snaphold.domain.outcome import Outcome
from snaphold.errors import ProviderError, UnknownOutcomeError
from snaphold.ledger.database import DatabaseLedger
from snaphold.runtime import Runtime
from snaphold.service.server import Listening, Place
from snaphold.service.tokens import create_token
from support.ledgers import INCIDENT, NOW, actor, configure
from support.toy_actions import FileVendor, ToyRequest, ToyResult, install, toy
from support.waiting import PATIENCE_SECONDS

INCIDENT_DOCUMENT: dict[str, Any] = INCIDENT.model_dump(mode="json")
JSON = {"Content-Type": "application/json"}
WRITE = {"Idempotency-Key": "INC-1/step/orders-db/1", "X-Snaphold-Justification": "Ransomware, INC-1"}
LIMITS = (
    "readiness.LONGEST_LOOK_SECONDS", "requests.BODY_WITHIN_SECONDS", "connections.HEAD_WITHIN_SECONDS",
    "connections.BODY_WITHIN_SECONDS", "connections.READ_WITHIN_SECONDS", "listener.HANDSHAKE_WITHIN_SECONDS",
)  # fmt: skip
"""What the service gives its callers and its database: a busy machine may need longer, and is right all the same."""
A_MOMENT_SECONDS = 0.3


@dataclass(frozen=True)
class Reply:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object of the body."""
        return json.loads(self.body)


@dataclass
class Toys:
    """The toy actions, what they did, and the gate that holds the slow one."""

    vendor: FileVendor
    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def entries(self) -> list[AnyAction]:
        """Return the catalogue: one that writes, one that waits for the gate, one that reads, and several that fail."""

        def start(request: ToyRequest, context: Context) -> ToyResult:
            self.vendor.start(context.key)
            return ToyResult(outcome=Outcome.SUCCEEDED, job=f"JOB-{request.asset}")

        def wait(request: ToyRequest, context: Context) -> ToyResult:
            self.begun.set()
            self.gate.wait(PATIENCE_SECONDS)
            return start(request, context)

        def fail(error: Exception) -> Callable[[ToyRequest, Context], ToyResult]:
            def raised(request: ToyRequest, context: Context) -> ToyResult:
                raise error

            return raised

        return [
            toy(start, name="toy.start"),
            toy(wait, name="toy.wait"),
            toy(name="toy.read", effect=Effect.READS),
            toy(fail(ProviderError("the vendor refuses", "it is full of password=hunter2hunter2")), name="toy.refuse"),
            toy(fail(UnknownOutcomeError("the answer was lost")), name="toy.lose"),
            toy(fail(RuntimeError("a fault of the program")), name="toy.break", effect=Effect.READS),
        ]


@dataclass
class ServiceLab:
    """A service that is being served, and a token of each person."""

    listening: Listening
    runtime: Runtime
    toys: Toys
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        """Where it is served."""
        return self.listening.url

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "ana",  # noqa: S107  a person's id
        headers: Mapping[str, str] | None = None,
        kind: str = "application/json",
    ) -> Reply:
        """Send one request; `token` is a person's id or a token itself, `body` an object or bytes."""
        host = self.url.partition("://")[2]
        connection = (
            http.client.HTTPSConnection(host, timeout=PATIENCE_SECONDS, context=ssl.create_default_context(cafile=self.ca_file))
            if self.ca_file
            else http.client.HTTPConnection(host, timeout=PATIENCE_SECONDS)
        )
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", kind)
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def act(self, action: str = "toy.start", token: str | None = "ana", **given: Any) -> Reply:  # noqa: S107
        """Ask for an action with the usual headers and the incident; `headers` are added."""
        headers = {**WRITE, **given.pop("headers", {})}
        body = {"incident": INCIDENT_DOCUMENT, **given}
        return self.request("POST", f"/v1/actions/{action}", body, token=token, headers=headers)

    def hold(self, token: str | None = "ana", **given: Any) -> Reply:  # noqa: S107
        """Ask for `toy.wait`, which ends when the gate opens: the service waits for a moment and answers with a job."""
        with self.hurried():
            return self.act("toy.wait", token, **given)

    @contextmanager
    def hurried(self) -> Generator[None]:
        """Have the service wait only for a moment for the actions that are asked for in the block.

        For all others it waits as long as they take: what is done at once on a quiet machine must not become a job on a busy one.
        """
        service = self.listening.service
        before = service.longest_wait
        object.__setattr__(service, "longest_wait", A_MOMENT_SECONDS)
        try:
            yield
        finally:
            object.__setattr__(service, "longest_wait", before)

    def events(self, action: str = "") -> list[tuple[str, str]]:
        """Return event and action of the ledger's entries."""
        return [(one.event.value, one.action) for one in self.runtime.ledger.entries() if action in ("", one.action)]


@contextmanager
def serving(
    folder: Path,
    patch: Any,
    *,
    longest_wait: float = PATIENCE_SECONDS,
    actions: Mapping[str, AnyAction] | None = None,
    certificate: tuple[Path, Path] | None = None,
    **changes: Any,
) -> Generator[ServiceLab, None, None]:
    """Serve toy actions, or those that are given, for the length of the block; `changes` are to the configuration.

    With a certificate and its key it is served over TLS. A test that wants a limit to be met sets it inside of the block.
    """
    for limit in LIMITS:
        patch.setattr(f"snaphold.service.{limit}", PATIENCE_SECONDS)
    configuration = configure(folder, sign=False, **changes)
    clock = FixedClock(NOW)
    ledger = DatabaseLedger.open(configuration, clock)
    runtime = Runtime(configuration, ledger, clock, actor(configuration))
    toys = Toys(FileVendor(folder / "vendor"))
    entries = toys.entries()
    if actions is None:
        install(patch, *entries)
    tokens = {"ana": create_token(runtime, "ana")[1]}
    ben = Runtime(configuration, ledger, clock, actor(configuration, "ben"))
    if ben.actor.roles:
        tokens["ben"] = create_token(ben, "ben")[1]
    known = {entry.name: entry for entry in entries} if actions is None else actions
    proof, key = certificate or (None, None)
    place = Place(port=0, certificate=proof, key=key)
    listening = Listening(runtime, folder / "snaphold.yaml", place, longest_wait=longest_wait, actions=known)
    thread = threading.Thread(target=listening.serve)
    thread.start()
    try:
        yield ServiceLab(listening, runtime, toys, tokens, proof)
    finally:
        toys.gate.set()
        listening.stop()
        thread.join(PATIENCE_SECONDS)
        ledger.close()
        assert not thread.is_alive()
