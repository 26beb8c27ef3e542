"""The simulated Veeam server itself: revisions, tokens, and runs that end by themselves when somebody practises."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from snaphold.simulators.base import Call, Reply
from snaphold.simulators.veeam import BUILDS, ENDS_AFTER, PASSWORD, Simulator
from snaphold.simulators.veeam_world import USER


def ask(server: Simulator, method: str, path: str, token: str = "", body: Any = None, revision: str = "1.3-rev2") -> Reply:
    headers = {"x-api-version": revision, "authorization": f"Bearer {token}"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return server.answer(Call(method, path, {}, headers, content))


def sign_in(server: Simulator, **form: str) -> Reply:
    given = form or {"grant_type": "password", "username": USER, "password": PASSWORD}
    return ask(server, "POST", "/api/oauth2/token", body=urlencode(given).encode())


def test_a_revision_after_the_servers_own_is_refused() -> None:
    server = Simulator(BUILDS["1.3-rev1"])
    assert ask(server, "GET", "/api/v1/serverInfo", revision="1.3-rev2").status == 400
    assert ask(server, "GET", "/api/v1/serverInfo", revision="").status == 400
    assert ask(server, "GET", "/api/v1/serverInfo", revision="1.2-rev1").status == 401


def test_a_refresh_token_is_good_once() -> None:
    server = Simulator()
    first = sign_in(server)
    refresh = first.document["refresh_token"]
    assert sign_in(server, grant_type="refresh_token", refresh_token=refresh).status == 200
    assert sign_in(server, grant_type="refresh_token", refresh_token=refresh).status == 401
    assert sign_in(server, grant_type="password", username=USER, password="x").status == 401


def test_a_run_ends_by_itself_after_a_few_questions() -> None:
    server = Simulator()
    token = sign_in(server).document["access_token"]
    (job,) = server.world.jobs
    run = ask(server, "POST", f"/api/v1/jobs/{job}/start", token, {"performActiveFull": False})
    assert run.status == 201
    again = ask(server, "POST", f"/api/v1/jobs/{job}/start", token, {"performActiveFull": False})
    assert (again.status, again.document["message"]) == (400, "The job is already running")
    path = f"/api/v1/sessions/{run.document['id']}"
    states = [ask(server, "GET", path, token).document["state"] for _ in range(ENDS_AFTER + 1)]
    assert states == ["Working"] * ENDS_AFTER + ["Stopped"]
    assert len(server.world.points) == 1


def test_its_clock_moves_only_when_told() -> None:
    server = Simulator()
    before = server.world.now
    server.world.advance(60)
    assert (server.world.now - before).total_seconds() == 60


def test_two_servers_with_the_same_story_give_the_same_ids() -> None:
    one, other = Simulator().world, Simulator().world
    assert one.new_id() == other.new_id()
    assert list(one.jobs) == list(other.jobs)


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/jobs/not-an-id", "/elsewhere"])
def test_what_it_does_not_have_is_not_found(path: str) -> None:
    server = Simulator()
    token = sign_in(server).document["access_token"]
    assert ask(server, "GET", path, token).status == 404
