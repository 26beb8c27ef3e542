"""The XSOAR entry point: text for the war room, incidents, the commands of playbooks, the self-check."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snaphold.action import find_action
from snaphold.domain.incident import Incident
from snaphold.errors import InputError
from snaphold.secrets import remember
from snaphold.soar import xsoar
from snaphold.soar import xsoar_names as names
from snaphold.soar.xsoar_call import key_step
from snaphold.soar.xsoar_incident import incident_id, read_incident
from snaphold.soar.xsoar_text import plain, result_text
from support.xsoar_play import shim

WAR_ROOM: dict[str, Any] = {
    "id": "12", "name": "A case", "severity": 3, "type": "Ransomware!", "created": "2026-11-22T18:00:00Z", "status": 1,
    "CustomFields": {"snapholdassets": "orders-db, files-01"},
}  # fmt: skip


def say(command: str, arguments: dict[str, Any] | None = None, items: dict[str, Any] | None = None, **state: Any) -> Any:
    """Run a command and return its one entry."""
    demisto, server = shim()
    demisto.STATE.clear()
    demisto.STATE.update({"command": command, "args": arguments or {}, **state})
    demisto.RESULTS.clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("handlers", "propagate"):
            patch.setattr(logging.getLogger("snaphold"), name, getattr(logging.getLogger("snaphold"), name))
        with contextlib.suppress(SystemExit):
            xsoar.run({**vars(server), "demisto": demisto}, items or {})
    (entry,) = demisto.RESULTS
    return entry


@given(st.text(max_size=200))
def test_whatever_stands_in_an_alert_becomes_one_line_without_tags(text: str) -> None:
    shown = plain(text)
    assert "<" not in shown
    assert ">" not in shown
    assert "\n" not in shown
    assert "http:" not in shown


def test_a_secret_that_was_used_is_hidden_in_text() -> None:
    remember("correct-horse-battery")
    assert "correct-horse" not in result_text("Title", {"outcome": "succeeded", "note": "correct-horse-battery"})


def test_an_incident_is_read_with_its_severity_turned_round() -> None:
    found = read_incident(WAR_ROOM, {})
    assert isinstance(found, Incident)
    assert (found.id, found.severity, found.category, found.assets) == ("XSOAR-12", 2, "ransomware", ("orders-db", "files-01"))
    assert read_incident({**WAR_ROOM, "severity": 0}, {}).severity == 1  # type: ignore[union-attr]


def test_an_incident_that_the_service_knows_is_named_only() -> None:
    assert read_incident(WAR_ROOM, {"incident_id": "INC-9"}) == "INC-9"
    assert read_incident({"id": "12"}, {}) == "XSOAR-12"
    assert incident_id({"id": "12", "CustomFields": {"snapholdincident": "INC-3"}}, {}) == "INC-3"
    with pytest.raises(InputError, match="there is no incident"):
        incident_id({}, {})


@pytest.mark.parametrize(
    ("given_list", "found"),
    [
        (["a,b", "c"], ["a,b", "c"]),
        ('["a,b"]', ["a,b"]),
        ("a, b", ["a", "b"]),
        ("a;b", ["a", "b"]),
        ("", []),
        (None, []),
        ("[not json", ["[not json"]),
    ],
)
def test_a_list_is_read_however_the_server_hands_it_on(given_list: Any, found: list[str]) -> None:
    assert names.read_list(given_list) == found


def test_the_items_of_a_loop_have_places_and_no_commas() -> None:
    entry = say(names.ITEMS, {"items": '["a,b", "c"]', "place": "main.each.", "step": "main.each"})
    ((path, value),) = entry["EntryContext"].items()
    assert path.startswith("Snaphold.Items.each(")
    assert (value["item"], value["place"]) == (["a;b", "c"], ["main.each[a+b].", "main.each[c]."])


@pytest.mark.parametrize(
    ("step", "key"),
    [
        ("main.seal", "main.seal"),
        ("war-room", "war-room"),
        ("main.each[a+b].inner[c].seal", "main.each.inner.seal[a,b+c]"),
        ("main.each[" + "x" * 90 + "].seal", "main.each.seal[" + hashlib.sha256(b"x" * 90).hexdigest()[:16] + "]"),
    ],
)
def test_keys_name_the_step_as_the_runner_does(step: str, key: str) -> None:
    assert key_step(step, find_action("evidence.seal")) == key
    assert "[" not in key_step(step, find_action("backup.start"))


@pytest.mark.parametrize(
    ("items", "why"), [("", "is empty"), ("a,b,a", "holds a more than once"), ("x," * 1001 + "y", "holds x")]
)
def test_a_loop_over_nothing_or_over_one_item_twice_is_an_error(items: str, why: str) -> None:
    entry = say(names.ITEMS, {"items": items, "place": "p.", "step": "p"})
    assert entry["Type"] == 4
    assert why in entry["Contents"]


@pytest.mark.parametrize(
    ("marks", "state"),
    [
        (["p.0.=done", "p.1.=done"], "done"),
        (["p.0.=done"], "failed"),
        (["p.0.=done", "p.1.=failed"], "failed"),
        (["p.0.=done", "p.1.=failed", "p.1.=done"], "failed"),
        (["p.0.=stopped", "p.1.=failed"], "stopped"),
        ([], "failed"),
    ],
)
def test_parts_are_done_only_when_each_of_them_says_so(marks: list[str], state: str) -> None:
    entry = say(names.JOIN, {"places": ["p.0.", "p.1."], "ended": marks, "step": "p.end"})
    ((_, value),) = entry["EntryContext"].items()
    assert value["state"] == state


@pytest.mark.parametrize(
    ("marks", "outcome"), [(["p.=decided"], "stopped"), (["p.=decided", "p.=failed"], "failed"), (["q.=decided"], "failed")]
)
def test_a_handler_ends_as_stopped_only_after_a_decision(marks: list[str], outcome: str) -> None:
    entry = say(names.END, {"place": "p.", "outcome": "settled", "ended": marks})
    ((_, value),) = entry["EntryContext"].items()
    assert value["mark"] == f"p.={outcome}"


def test_a_command_of_a_newer_playbook_is_told_to_update_the_pack() -> None:
    entry = say("snaphold-of-tomorrow", params={"url": "https://s.example.org", "credentials": {"password": "x" * 20}})
    assert "update the pack" in entry["Contents"]


def test_an_unforeseen_fault_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("password=hunter2hunter2")

    monkeypatch.setattr(xsoar, "_dispatch", broken)
    entry = say("snaphold-self-check")
    assert "RuntimeError" in entry["Contents"]
    assert "hunter2" not in entry["Contents"]
    assert "Traceback" not in entry["Contents"]


ITEMS = {
    "version": "0.1.0",
    "items": {
        "playbook": {"Snaphold - A": "digest-a", "Snaphold - B": "digest-b"},
        "integration": {"Snaphold": "", "SnapholdVeeam": ""},
        "layout": {"Snaphold Request": ""},
        "list": {"T": ""},
    },
}
INSTALLED = {
    "GET /contentpacks/metadata/installed": {
        "statusCode": 200,
        "body": json.dumps([{"id": "Snaphold", "currentVersion": "0.1.0"}]),
    },
    "POST /playbook/search": {
        "statusCode": 200,
        "body": json.dumps(
            {"playbooks": [{"id": "Snaphold - A", "comment": "sha256 digest-a."}, {"name": "Snaphold - B", "comment": "older"}]}
        ),
    },
    "POST /settings/integration/search": {
        "statusCode": 200,
        "body": json.dumps({"configurations": [{"id": "Snaphold", "name": "Snaphold"}], "instances": []}),
    },
    "GET /layouts": {"statusCode": 200, "body": "[]"},
    "GET /lists": {"statusCode": 500, "body": ""},
}


def test_the_self_check_tells_present_missing_older_and_unknown_apart() -> None:
    entry = say(names.SELF_CHECK, items=ITEMS, http=INSTALLED)
    found = {row["name"]: row["state"] for row in entry["Contents"]}
    assert found == {
        "Snaphold": "present",
        "Snaphold - A": "present",
        "Snaphold - B": "older",
        "SnapholdVeeam": "missing",
        "Snaphold Request": "missing",
        "T": "unknown",
    }
    assert "3 of 7 items" in entry["HumanReadable"]


def test_the_self_check_tells_of_an_older_pack() -> None:
    http = {
        **INSTALLED,
        "GET /contentpacks/metadata/installed": {"statusCode": 200, "body": '[{"id": "Snaphold", "currentVersion": "0.0.9"}]'},
    }
    entry = say(names.SELF_CHECK, items=ITEMS, http=http)
    assert entry["Contents"][0]["state"] == "older"


@pytest.mark.parametrize(
    "pem",
    [
        "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE----- AAAA BBBB -----END CERTIFICATE-----",
    ],
)
def test_a_certificate_from_a_text_box_gets_its_lines_back(pem: str) -> None:
    with open(xsoar.certificate_file(pem), encoding="ascii") as stream:
        assert stream.read() == "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n"
