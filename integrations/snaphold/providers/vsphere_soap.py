"""Speaks to one vCenter: pyVmomi knows the messages, our own HTTP carries them.

pyVmomi's own connection has no deadline for a whole answer, no cap on its size, and no notion of what may be sent
again. So only its serialiser is used: every call goes through `snaphold.http` like those to other vendors.
"""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from snaphold import http
from snaphold.config import Configuration, Integration
from snaphold.errors import InputError, MissingToolError, ProviderError, SnapholdError, UnknownOutcomeError
from snaphold.http import Answer, NoAnswerError
from snaphold.http_guard import CallBudget, breaker_of
from snaphold.http_policy import VSPHERE
from snaphold.http_session import check_address, kept_text
from snaphold.platforms.credentials import credential
from snaphold.providers.vsphere_faults import explain
from snaphold.secrets import remember

SPOKEN_VERSION = "vim.version.version11"
"""The API of vSphere 6.5: the oldest that is still met; every newer vCenter speaks it."""
OLDEST = (6, 5)
_PATH = "/sdk"
_COOKIE = "vmware_soap_session"
_FIRST = re.compile(rb"<(?:[\w-]+:)?Body\b[^>]*>\s*<(?:[\w-]+:)?(\w+)")
_OK, _FAULT = 200, 500
_REPEATABLE = frozenset(
    {
        "RetrieveServiceContent", "Login", "Logout", "CurrentTime", "CreateContainerView",
        "RetrievePropertiesEx", "HasPrivilegeOnEntities",
    }
)  # fmt: skip
"""Calls that may be sent twice: what they make belongs to the session and ends with it."""


class FaultError(Exception):
    """A fault that vCenter answered with; `fault` is pyVmomi's object. `explain` turns it into an error for people."""

    def __init__(self, fault: Any, method: str) -> None:
        super().__init__(type(fault).__name__)
        self.fault = fault
        self.method = method

    @property
    def name(self) -> str:
        """Return the fault's name without its package, e.g. `InvalidLogin`."""
        return type(self.fault).__name__.rpartition(".")[2]


def load_vmomi() -> Any:
    """Return the module pyVmomi. Raises MissingToolError when it is not installed."""
    try:
        return cast("Any", importlib.import_module("pyVmomi"))
    except ImportError as error:
        raise MissingToolError(
            "vSphere needs the Python package pyvmomi", str(error), "pip install 'snaphold[vsphere]'"
        ) from error


class Channel:
    """Carries messages to one vCenter and keeps the session's cookie."""

    def __init__(self, integration: Integration, configuration: Configuration, budget: CallBudget) -> None:
        self.url = check_address(integration.url)
        self.host = urlsplit(self.url).netloc
        self._ca_file: Path | None = configuration.path(integration.ca_file) if integration.ca_file else None
        if self._ca_file is not None and not self._ca_file.is_file():
            raise InputError(f"the certificate file {self._ca_file} does not exist", do="correct ca_file in snaphold.yaml")
        self._timeout = integration.timeout.total_seconds()
        self._budget = budget
        self._cookie = ""

    def post(self, method: str, message: bytes, version: str) -> Answer:
        """Return the answer to one message. Raises NoAnswerError (see `sent`) or ProviderError."""
        breaker = breaker_of(self.host)
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": version}
        if self._cookie:
            headers["Cookie"] = self._cookie
        self._budget.take()
        breaker.enter()
        try:
            answer = http.send(
                "POST",
                self.url + _PATH,
                body=message,
                headers=headers,
                timeout=self._timeout,
                ca_file=self._ca_file,
                repeatable=method in _REPEATABLE,
                policy=VSPHERE,
            )
        except ProviderError:
            breaker.failed()
            raise
        # SOAP tells every fault with status 500: only what is no SOAP says that the host is unwell.
        healthy = answer.status in (_OK, _FAULT) and b"Envelope" in answer.body
        breaker.succeeded() if healthy else breaker.failed()
        self._keep_cookie(answer)
        return answer

    def forget(self) -> None:
        """Forget the session."""
        self._cookie = ""

    def _keep_cookie(self, answer: Answer) -> None:
        try:
            found = SimpleCookie(answer.headers.get("set-cookie", "")).get(_COOKIE)
        except CookieError:
            return
        if found is not None and found.value:
            remember(found.value)
            self._cookie = f"{_COOKIE}={found.coded_value}"


def make_stub(channel: Channel) -> Any:
    """Return what pyVmomi's objects send their calls with."""
    load_vmomi()
    adapter = cast("Any", importlib.import_module("pyVmomi.SoapAdapter"))

    class Stub(adapter.SoapStubAdapterBase):  # pyright: ignore[reportUntypedBaseClass]  its types are made at run time
        """pyVmomi's serialiser over our HTTP."""

        requestContext = None  # noqa: N815  the serialiser reads it

        def InvokeMethod(self, mo: Any, info: Any, args: Any) -> Any:  # noqa: N802  pyVmomi calls it by this name
            """Return the result of a call. Raises FaultError, or what `Channel.post` raises."""
            method = str(info.wsdlName)
            answer = channel.post(method, self.SerializeRequest(mo, info, args), self.versionId)
            if answer.status not in (_OK, _FAULT):
                raise _refused(answer, method, channel.host)
            return _read(adapter.SoapResponseDeserializer(self), answer, info.result, method)

    return Stub(SPOKEN_VERSION)


def _read(reader: Any, answer: Answer, shape: Any, method: str) -> Any:
    try:
        _check_envelope(answer, method)
        found = reader.Deserialize(answer.body, shape)
    except Exception as error:  # pyVmomi raises what it meets: ExpatError, KeyError, TypeError, AttributeError, ...
        raise UnknownOutcomeError(
            f"the answer to {method} is not understood",
            f"HTTP status {answer.status}; {type(error).__name__}; it begins: {kept_text(answer)}",
            "check that the address is that of a vCenter or an ESXi host; if this is a new version, report the answer",
        ) from error
    if answer.status == _FAULT:
        if not isinstance(found, Exception):
            raise UnknownOutcomeError(f"{method} failed without a fault", kept_text(answer), "look into vCenter's log")
        raise FaultError(found, method)
    return found


def _check_envelope(answer: Answer, method: str) -> None:
    """Raise ValueError unless it is a whole SOAP message about this call: pyVmomi reads anything else as nothing."""
    if b"<!DOCTYPE" in answer.body:
        raise ValueError("the answer holds a document type")
    first = _FIRST.search(answer.body)
    expected = b"Fault" if answer.status == _FAULT else method.encode("ascii") + b"Response"
    if first is None or first[1] != expected or not answer.body.rstrip().endswith(b"Envelope>"):
        raise ValueError("the answer is not a whole SOAP message about this call")


def _refused(answer: Answer, method: str, host: str) -> ProviderError:
    busy = answer.status in VSPHERE.keyed or answer.status in VSPHERE.refused
    return NoAnswerError(
        f"{host} did not carry out {method}",
        f"HTTP status {answer.status}: {kept_text(answer)[:200]}",
        "try later" if busy else "check that the address is that of a vCenter, and any proxy before it",
        retryable=busy and (method in _REPEATABLE or answer.status in VSPHERE.refused),
        # A gateway may answer for a vCenter that went on working: only a plain refusal says that nothing was done.
        sent=answer.status >= _FAULT,
    )


class Connection:
    """A session at one vCenter: `content` is its root object, `vim` and `vmodl` the types."""

    def __init__(self, integration: Integration, configuration: Configuration, budget: CallBudget) -> None:
        """Prepare; nothing is contacted. Raises InputError or MissingToolError."""
        self._user = credential(integration, "username", configuration.base)
        self._password = credential(integration, "password", configuration.base)
        self.channel = Channel(integration, configuration, budget)
        self.vmomi = load_vmomi()
        self.vim: Any = self.vmomi.vim
        self.vmodl: Any = self.vmomi.vmodl
        self._stub = make_stub(self.channel)
        self._lock = threading.RLock()
        self._depth = 0
        self.content: Any = None
        self.session: Any = None

    @contextmanager
    def signed_in(self) -> Generator[Connection]:
        """Sign in for the length of the block and out again, so that no session is left behind at vCenter.

        Faults inside become errors for people. Blocks may be nested; only the outermost signs in and out.
        """
        with self._lock:
            self._depth += 1
            try:
                with explained(self.channel.host):
                    if self._depth == 1:
                        self._sign_in()
                    yield self
            finally:
                self._depth -= 1
                if not self._depth:
                    self._sign_out()

    def _sign_in(self) -> None:
        root = self.vim.ServiceInstance("ServiceInstance", self._stub)
        self.content = root.RetrieveContent()
        check_version(self.content.about, self.channel.host)
        try:
            self.session = self.content.sessionManager.Login(self._user, self._password, None)
        except NoAnswerError as error:
            # To whoever waits for the session nothing was sent yet: it must not look like a lost answer of theirs.
            raise ProviderError(error.what, f"signing in: {error.why}", error.do, retryable=True) from error
        except UnknownOutcomeError as error:
            raise ProviderError(error.what, f"signing in: {error.why}", error.do) from error

    def _sign_out(self) -> None:
        """End the session. When that fails, vCenter ends it by itself after half an hour: it is no error of the work."""
        if self.session is None:
            return
        self.session = None
        try:
            self.content.sessionManager.Logout()
        except (SnapholdError, FaultError):
            return
        finally:
            self.channel.forget()

    @property
    def user(self) -> str:
        """As whom it signs in."""
        return self._user

    def now(self) -> Any:
        """Return vCenter's own time."""
        return self.vim.ServiceInstance("ServiceInstance", self._stub).CurrentTime()

    def object(self, kind: Any, reference: str) -> Any:
        """Return the managed object of a kind with this id; it is not looked whether it exists."""
        return kind(reference, self._stub)


def check_version(about: Any, host: str) -> None:
    """Raise ProviderError when the API is older than the one we speak."""
    version = str(about.apiVersion)
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(numbers) < len(OLDEST) or tuple(numbers) < OLDEST:
        raise ProviderError(
            f"the API of {host} is too old",
            f"it is {version} ({about.fullName}); 6.5 is the oldest that is known",
            "upgrade vCenter, or back the machine up with another product",
        )


@contextmanager
def explained(host: str) -> Generator[None]:
    """Turn faults inside into errors with what, why and do."""
    try:
        yield
    except FaultError as error:
        raise explain(error.fault, error.name, error.method, host) from error
