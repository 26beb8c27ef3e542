"""Signing in at the pages, staying signed in, and what another site cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from snaphold.service.pages.session import safe_target
from snaphold.service.records import WebSession
from snaphold.service.tokens import revoke_token
from support.page_lab import Browser
from support.service_lab import ServiceLab, serving

PAGES = ["/ui", "/ui/approvals", "/ui/restore-points", "/ui/evidence", "/ui/integrations", "/ui/board", "/ui/runs/RUN-1"]


@pytest.mark.parametrize("page", PAGES)
def test_whoever_is_not_signed_in_is_led_to_the_sign_in_and_sees_nothing(lab: ServiceLab, page: str) -> None:
    reply = Browser(lab).get(page)
    assert (reply.status, reply.body) == (303, b"")
    assert reply.headers["location"].startswith("/ui/sign-in?next=%2Fui")


def test_the_cookie_is_for_the_pages_only_and_no_script_can_read_it(lab: ServiceLab) -> None:
    reply = Browser(lab).post("/ui/sign-in", token=lab.tokens["ana"], next="/ui/board")
    assert reply.headers["location"] == "/ui/board"
    cookie = reply.headers["set-cookie"]
    for part in ("HttpOnly", "Path=/ui", "SameSite=strict", "Max-Age=28800"):
        assert part in cookie
    value = cookie.partition("=")[2].partition(";")[0]
    (session,) = lab.runtime.ledger.records(WebSession)
    assert value not in session.model_dump_json()
    assert ("service", "session.begin") in lab.events()


def test_behind_a_proxy_that_does_tls_the_cookie_is_sent_over_tls_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, (address, secure) in enumerate((("https://snaphold.example.org", True), ("", False))):
        folder = tmp_path / str(number)
        folder.mkdir()
        with serving(folder, monkeypatch, service={"address": address}) as lab:
            reply = Browser(lab).post("/ui/sign-in", token=lab.tokens["ana"])
            assert ("Secure" in reply.headers["set-cookie"]) is secure


@pytest.mark.parametrize("token", ["", "snh_" + "x" * 43, "nonsense"])
def test_a_wrong_token_is_refused_and_recorded(lab: ServiceLab, token: str) -> None:
    reply = Browser(lab).post("/ui/sign-in", token=token)
    assert reply.status == 401
    assert b'role="alert"' in reply.body
    assert "set-cookie" not in reply.headers


def test_every_page_forbids_what_it_does_not_need(lab: ServiceLab) -> None:
    reply = Browser(lab).sign_in().get("/ui")
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["cache-control"] == "no-store"
    assert b"<script>" not in reply.body
    assert b" style=" not in reply.body
    assert b" onclick" not in reply.body


def test_a_session_ends_with_its_token(lab: ServiceLab) -> None:
    browser = Browser(lab).sign_in()
    (session,) = lab.runtime.ledger.records(WebSession)
    revoke_token(lab.runtime, session.token)
    assert browser.get("/ui").status == 303


def test_signing_out_ends_the_session_at_the_service_too(lab: ServiceLab) -> None:
    browser = Browser(lab).sign_in()
    assert browser.post("/ui/sign-out").status == 303
    assert browser.get("/ui").status == 303, "the old cookie is worth nothing"
    (session,) = lab.runtime.ledger.records(WebSession)
    assert session.ended_at is not None


def test_a_form_without_the_key_of_the_session_is_refused(lab: ServiceLab) -> None:
    browser = Browser(lab).sign_in()
    assert browser.post("/ui/sign-out", form_key="0" * 32).status == 403
    assert browser.get("/ui").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": ""},
    ],
)
def test_a_form_that_another_site_sends_is_refused(lab: ServiceLab, headers: dict[str, str]) -> None:
    browser = Browser(lab).sign_in()
    assert browser.post("/ui/sign-out", headers=headers).status == 403
    assert browser.get("/ui").status == 200


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("/ui/board", "/ui/board"),
        ("/ui", "/ui"),
        ("https://attacker.example/ui", "/ui"),
        ("//attacker.example/ui/x", "/ui"),
        ("/\\attacker.example", "/ui"),
        ("/ui/../v1/whoami", "/ui"),
        ("/uix", "/ui"),
        ("javascript:alert(1)", "/ui"),
    ],
)
def test_after_the_sign_in_only_pages_of_ours_follow(wanted: str, place: str) -> None:
    assert safe_target(wanted) == place


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", "{}", 415),
        ("application/x-www-form-urlencoded", "&".join(f"a{n}=1" for n in range(50)), 400),
        ("application/x-www-form-urlencoded", "%ff%fe=%zz", 401),
    ],
)
def test_a_strange_form_is_told_what_is_wrong(lab: ServiceLab, kind: str, body: str, status: int) -> None:
    reply = lab.request("POST", "/ui/sign-in", body.encode(), token=None, kind=kind)
    assert reply.status == status
    assert b"Traceback" not in reply.body
