"""Serves the application: the socket, TLS, and an orderly end. Nothing but this machine is served without TLS."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any, cast

import uvicorn

from snaphold.action import AnyAction
from snaphold.clock import SystemClock
from snaphold.config import load_configuration
from snaphold.domain.people import Actor
from snaphold.errors import InputError, StorageError
from snaphold.identity import current_login
from snaphold.ledger import open_ledger
from snaphold.runtime import Runtime
from snaphold.service.app import build_app
from snaphold.service.callers import LONGEST_WAIT_SECONDS, Service
from snaphold.service.connections import cut_late, protocol_for
from snaphold.service.inbox import Inbox
from snaphold.service.jobs import JobBoard
from snaphold.service.keeper import Keeper
from snaphold.service.limits import Limits
from snaphold.service.listener import Listener
from snaphold.service.records import ApiToken
from snaphold.service.refusals import REFUSE, RefusalLog
from snaphold.service.run_driver import RunDriver
from snaphold.webhooks.receiver import open_receivers

MOST_CONNECTIONS = 256
GRACE_SECONDS = 25
IDLE_SECONDS = 15
GOODBYE_SECONDS = 0.5
"""How long idle clients are given to close their connections when the service ends."""
LARGEST_HEAD_BYTES = 32 * 1024
_TICKS_OF_A_SECOND = 10
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where the service listens. Port 0 lets the system choose."""

    host: str = "127.0.0.1"
    port: int = 8443
    certificate: Path | None = None
    key: Path | None = None


def open_service_runtime(config: Path, database: str | None = None) -> Runtime:
    """Return the runtime of the service, with another database when one is given. Its account needs to be no person.

    Raises ConfigurationError, MissingToolError or StorageError.
    """
    configuration, clock = load_configuration(config), SystemClock()
    if database:
        configuration = configuration.with_database(database)
    nobody = Actor(id="service", name="Snaphold service", roles=(), login=current_login(), uses_grants=False)
    return Runtime(configuration, open_ledger(configuration, clock), clock, nobody)


class Listening:
    """A service with its socket open."""

    def __init__(
        self,
        runtime: Runtime,
        config: Path,
        place: Place,
        *,
        longest_wait: float = LONGEST_WAIT_SECONDS,
        actions: Mapping[str, AnyAction] | None = None,
        driver: RunDriver | None = None,
    ) -> None:
        _check(runtime, place)
        inbox = Inbox(runtime) if driver is None else Inbox(runtime, ring=driver.ring)
        receivers = open_receivers(runtime.configuration)
        self.service = Service(
            runtime, config, JobBoard(runtime.ledger), RefusalLog(runtime.ledger), inbox, receivers, longest_wait,
            limits=Limits(runtime.configuration.service), driver=driver,
        )  # fmt: skip
        self.keeper = Keeper(runtime, inbox, refusals=self.service.refusals)
        settings = uvicorn.Config(
            build_app(self.service, actions),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http=protocol_for(MOST_CONNECTIONS, self._note_malformed),
            ws="none",
            lifespan="off",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            h11_max_incomplete_event_size=LARGEST_HEAD_BYTES,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
        )
        _load(settings, place)
        self._server = _Server(settings)
        self._socket = _listen(place)
        scheme = "https" if place.certificate else "http"
        host = f"[{place.host}]" if ":" in place.host else place.host
        self.url = f"{scheme}://{host}:{self._socket.getsockname()[1]}"

    def serve(self, ready: Callable[[], None] = lambda: None) -> int:
        """Serve until `stop`, SIGTERM or SIGINT; return how many actions were still at work at the end.

        `ready` is called when a signal would end it in order, and requests that come now are answered.
        Those are not lost: their intent is in the ledger, and they are looked up when they are asked for again.
        """
        driver = self.service.driver
        with _Quiet(self.stop):
            ready()
            if driver is not None:
                driver.open()
            self.service.inbox.open()
            self.keeper.open()
            self._server.run(sockets=[self._socket])
        if driver is not None:
            driver.leave()  # its runs come to their next step while the rest here comes to its end
        self.keeper.close()
        self.service.inbox.close()
        left = self.service.jobs.wait_for_all(GRACE_SECONDS)
        if driver is not None:
            driver.close()
        self.service.refusals.close()
        return left

    def _note_malformed(self, peer: str) -> None:
        refusals, now = self.service.refusals, self.service.runtime.clock.now()
        due = refusals.count(peer, "400 this is no HTTP request that can be read", now, REFUSE)
        if due:
            asyncio.get_running_loop().run_in_executor(None, refusals.write, due)

    def stop(self) -> None:
        """Take no more requests, answer those that are there, and end."""
        self.service.stopping.set()
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Takes connections by itself, and waits for no client for ever: not for requests, nor for a goodbye."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        config, loop = self.config, asyncio.get_running_loop()
        make: Any = config.http_protocol_class

        def protocol() -> asyncio.Protocol:
            given: dict[str, Any] = {"config": config, "server_state": self.server_state, "app_state": self.lifespan.state}
            return make(**given, _loop=loop)

        listeners = [Listener(one, protocol, config.ssl) for one in sockets or []]
        self.servers = cast("Any", listeners)

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_OF_A_SECOND == 0:
            cut = cut_late(self.server_state.connections)
            if cut:
                log.warning("%d connections were cut: their clients kept them waiting for too long", cut)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        hanging_up = asyncio.create_task(self._hang_up())
        try:
            await super().shutdown(sockets)
        finally:
            hanging_up.cancel()

    async def _hang_up(self) -> None:
        """Cut the connections as soon as no request is being answered any more."""
        while True:
            await asyncio.sleep(GOODBYE_SECONDS)
            if not self.server_state.tasks:
                for connection in list(self.server_state.connections):
                    connection.transport.abort()


class _Quiet:
    """Handles SIGTERM and SIGINT while the service runs, so that an ordered end is not an error."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        if self._main:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self._stop()


def _check(runtime: Runtime, place: Place) -> None:
    if bool(place.certificate) != bool(place.key):
        raise InputError("TLS needs both a certificate and a key", do="--tls-cert FILE --tls-key FILE")
    if _is_loopback(place.host):
        return
    if place.certificate is None:
        raise InputError(
            f"{place.host} is not served without TLS",
            "tokens and incident data would cross the network in the clear",
            "--tls-cert FILE --tls-key FILE, or listen on 127.0.0.1 behind a proxy that does TLS",
        )
    now = runtime.clock.now()
    if not any(token.revoked_at is None and token.expires_at > now for token in runtime.ledger.records(ApiToken)):
        raise InputError(
            f"{place.host} is not served without tokens",
            "there is no token that is valid now, so nobody could use the service",
            "snaphold token create --person PERSON",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError as error:
        raise InputError(f"{host!r} is not an IP address", do="--host 127.0.0.1, ::1, or an address of this machine") from error


def _load(settings: uvicorn.Config, place: Place) -> None:
    """Load certificate and key now, so that a fault is told before anything listens."""
    try:
        if place.key is not None and place.key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputError(f"the key {place.key} can be read by others", do=f"chmod 600 {place.key}")
        settings.load()
        if settings.ssl is not None:
            settings.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    except OSError as error:  # ssl.SSLError is one
        raise InputError("TLS cannot be set up", f"{error.filename or place.certificate}: {error.strerror or error}") from error


def _listen(place: Place) -> socket.socket:
    host = "127.0.0.1" if place.host == "localhost" else place.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, place.port))
        listener.listen(MOST_CONNECTIONS)
    except (OSError, OverflowError) as error:
        listener.close()
        raise StorageError(
            f"{place.host}:{place.port} cannot be listened on", getattr(error, "strerror", None) or str(error), "--port N"
        ) from error
    return listener
