"""A client of the pages that keeps its cookie, as a browser without JavaScript would."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urlencode

from support.service_lab import Reply, ServiceLab

_FORM_KEY = re.compile(r'name="form_key" value="([0-9a-f]+)"')


@dataclass
class Browser:
    """One browser at one service."""

    lab: ServiceLab
    cookie: str = ""
    form_key: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def get(self, path: str) -> Reply:
        """Fetch a page; nothing is followed."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Reply:
        """Send a form as a page of ours would, with the session's form key unless another is given."""
        given = {"form_key": self.form_key, **fields}
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.lab.url, "Sec-Fetch-Site": "same-origin"}
        return self._ask("POST", path, urlencode(given), {**sent, **(headers or {})})

    def sign_in(self, person: str = "ana") -> Browser:
        """Sign in with a person's token; return this."""
        reply = self.post("/ui/sign-in", token=self.lab.tokens.get(person, person))
        assert reply.status == 303, reply.body
        self.cookie = reply.headers["set-cookie"].partition(";")[0]
        found = _FORM_KEY.search(self.text("/ui"))
        assert found
        self.form_key = found[1]
        return self

    def text(self, path: str) -> str:
        """Return a page's text; it must be there."""
        reply = self.get(path)
        assert reply.status == 200, (reply.status, reply.body)
        return unescape(reply.body.decode("utf-8"))

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Reply:
        connection = http.client.HTTPConnection(self.lab.url.partition("://")[2], timeout=240)
        sent = {**headers, **({"Cookie": self.cookie} if self.cookie else {})}
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()
