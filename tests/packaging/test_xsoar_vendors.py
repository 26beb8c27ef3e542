"""The vendors' own integrations of the XSOAR pack: their scripts run outside a server, on the image's Pythons."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import xsoar_pack
from snaphold.simulators.faults import Fault
from snaphold.soar.vendors import VENDORS, adapter_module, brand
from snaphold.soar.xsoar_vendor import commands_of
from support.platform_rigs import PagerDutyRig, Rig, ServiceNowRig
from support.product_access import PRODUCTS, product, secrets_of
from support.product_commands import STEP, later, params_of, starts_asked
from support.vendor_rigs import ASSET
from support.xsoar_builds import IMAGE_PYTHONS, image_python, tree, unified
from support.xsoar_play import SHIM
from xsoar_embed import vendor_sources

LARGEST_KIB = 450


def yml(kind: str) -> dict[str, Any]:
    return xsoar_pack._read(unified()[f"Integrations/integration-{brand(kind)}.yml"])


@pytest.mark.parametrize("kind", VENDORS)
def test_a_vendor_has_an_integration_with_its_commands_and_only_what_it_needs(kind: str) -> None:
    found = yml(kind)
    assert [one["name"] for one in found["script"]["commands"]] == list(commands_of(kind))
    assert found["name"] == found["commonfields"]["id"] == brand(kind)
    sources = vendor_sources(kind)
    assert f"{adapter_module(kind).replace('.', '/')}.py" in sources
    others = tuple(f"snaphold/providers/{one}" for one in PRODUCTS if one != kind)
    assert not [path for path in sources if path.startswith(("snaphold/providers/restic", "snaphold/quiesce", *others))]
    service = {path for path in sources if path.startswith("snaphold/service/")}
    assert service <= {"snaphold/service/__init__.py", "snaphold/service/settings.py"}, "no more than its configuration"
    assert sum(len(text.encode()) for text in sources.values()) < LARGEST_KIB * 1024
    texts = [one["description"] for command in found["script"]["commands"] for one in command["arguments"]]
    assert all(text.endswith(".") for text in texts)
    claims = str(texts) + str([command["description"] for command in found["script"]["commands"]])
    assert not [word for word in ("audit trail", "Snaphold service", "register") if word in claims], "there is none of it here"


def test_the_size_of_each_integration_is_stated() -> None:
    page = tree()["Packs/Snaphold/README.md"].decode()
    for kind in VENDORS:
        assert f"{brand(kind)} carries {len(vendor_sources(kind))} modules" in page


@pytest.fixture(params=[PagerDutyRig, ServiceNowRig], ids=lambda rig: rig.kind)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    found: Rig = request.param(tmp_path)
    yield found
    found.close()


def run(rig: Rig, python: str, folder: Path, requests: list[tuple[str, dict[str, Any]]], **changes: Any) -> list[Any]:
    credentials = {name: {"password": value} for name, value in rig.secrets().items()}
    authority = " ".join(rig.server.ca_file.read_text().split("\n"))  # as XSOAR folds a text box
    settings = "\n".join(f"{name}={value}" for name, value in rig.settings().items())
    params = {"url": rig.server.url, **credentials, "ca_certificate": authority, "settings": settings, **changes}
    return play(rig.kind, params, list(rig.secrets().values()), python, folder, requests)


def play(
    kind: str, params: dict[str, Any], secrets: list[str], python: str, folder: Path, requests: list[tuple[str, dict[str, Any]]]
) -> list[Any]:
    """Run commands in one process, as a container does; return the entry that each gave to the war room."""
    told = [{"command": name, "args": given, "params": params, "incident": {"id": "7"}} for name, given in requests]
    path = folder / "script.py"
    path.write_text(yml(kind)["script"]["script"], encoding="utf-8")
    done = subprocess.run(
        [python, "-I", str(SHIM / "run_script.py"), str(path)],
        input=json.dumps(told), capture_output=True, text=True, timeout=280, check=False, cwd=folder,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr[-3000:]
    entries = [answer["entries"] for answer in json.loads(done.stdout)]
    assert all(len(one) == 1 for one in entries)
    assert not any(value in done.stdout for value in secrets if len(value) > 8)
    return [one[0] for one in entries]


@pytest.mark.slow
@pytest.mark.parametrize("version", IMAGE_PYTHONS)
def test_a_vendors_commands_run_at_its_simulator_without_a_service(rig: Rig, version: str, tmp_path: Path) -> None:
    reference = rig.open_incident()
    name = f"snaphold-{rig.kind}-incident"
    note = {"text": "Backup done.", "reference": reference, "justification": "An exercise"}
    status = {"status": "resolved", "note": "Sealed.", "reference": reference, "justification": "An exercise"}
    test, read, first, again, resolved, unknown = run(
        rig, image_python(version), tmp_path,
        [("test-module", {}), (f"{name}-read", {"reference": reference}), (f"{name}-add-note", note),
         (f"{name}-add-note", note), (f"{name}-set-status", status), ("snaphold-backup-start", {})],
    )  # fmt: skip
    assert test == "ok"
    assert (
        read["EntryContext"]["Snaphold.Incident(val.command && val.command == obj.command && val.step && val.step == obj.step)"][
            "outcome"
        ]
        == "succeeded"
    )
    assert [entry["Contents"]["found"] for entry in (first, again)] == [False, True]
    assert len(rig.notes(reference)) >= 1
    assert resolved["Contents"]["status"] == "resolved"
    assert (unknown["Type"], "there is no command" in unknown["Contents"]) == (4, True)


@pytest.mark.slow
@pytest.mark.parametrize("version", IMAGE_PYTHONS)
@pytest.mark.parametrize("rig", [ServiceNowRig], indirect=True, ids=["servicenow"])
def test_a_change_is_opened_once_and_closed_once_it_is_approved(rig: Rig, version: str, tmp_path: Path) -> None:
    python, name = image_python(version), "snaphold-servicenow-change"
    why = {"justification": "An exercise", "step": "change"}
    opening = (f"{name}-open-emergency", {"summary": "Emergency backup", "description": "Before containment", **why})
    standard = (f"{name}-check-standard", {"name": "No such change"})
    first, again, usable = run(rig, python, tmp_path, [opening, opening, standard])
    assert first["Contents"]["change"] == again["Contents"]["change"]
    assert usable["Contents"]["usable"] is False
    closing = (f"{name}-close", {"change": first["Contents"]["change"], "successful": "true", "notes": "Sealed.", **why})
    (early,) = run(rig, python, tmp_path, [closing])
    assert (early["Type"], "cannot be closed now" in early["Contents"]) == (4, True)
    cast("ServiceNowRig", rig).simulator.approve(first["Contents"]["change"])
    (closed,) = run(rig, python, tmp_path, [closing])
    assert closed["Contents"]["outcome"] == "succeeded", closed


@pytest.mark.slow
def test_what_is_missing_or_wrong_is_named(rig: Rig, tmp_path: Path) -> None:
    python = image_python(IMAGE_PYTHONS[-1])
    secret = next(iter(rig.secrets()))
    (missing,) = run(rig, python, tmp_path, [("test-module", {})], **{secret: {}})
    assert "is missing" in missing["Contents"]
    (blind,) = run(rig, python, tmp_path, [("test-module", {})], insecure=True)
    assert "never trusted" in blind["Contents"]
    (setting,) = run(rig, python, tmp_path, [("test-module", {})], settings="nonsense")
    assert "NAME=VALUE" in setting["Contents"]
    (untrusted,) = run(rig, python, tmp_path, [("test-module", {})], ca_certificate="")
    assert untrusted["Type"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("version", IMAGE_PYTHONS)
@pytest.mark.parametrize("kind", PRODUCTS)
def test_a_backup_is_started_once_and_followed_at_the_product_itself(kind: str, version: str, tmp_path: Path) -> None:
    with product(kind, tmp_path) as rig:
        params, secrets = params_of(rig), secrets_of(rig)

        def ask(*requests: tuple[str, dict[str, Any]], **changes: Any) -> list[Any]:
            told = [(name if name == "test-module" else f"snaphold-{kind}-{name}", given) for name, given in requests]
            return play(kind, params | changes, [secrets["password"]], image_python(version), tmp_path, told)

        start = ("backup-start", {"asset": ASSET, "step": "save"})
        test, healthy, room, first, again = ask(
            ("test-module", {}), ("backup-check-health", {"assets": ASSET}), ("backup-check-capacity", {"assets": ASSET}),
            start, start,
        )  # fmt: skip
        assert test == "ok"
        assert (healthy["Contents"]["healthy"], room["Contents"]["fits"]) == (True, True)
        assert (first["Contents"]["job"], rig.started()) == (again["Contents"]["job"], 1)
        status = ("backup-status", {name: first["Contents"][name] for name in ("asset", "pool", "job")})
        assert ask(status)[0]["Contents"]["state"] == "running"
        rig.let_jobs_end()
        ended, third, run = ask(status, start, ("backup-run", start[1]))
        assert (run["Contents"]["job"], run["Contents"]["state"]) == (third["Contents"]["job"], "done")
        assert (ended["Contents"]["state"], ended["Contents"]["restore_point"][:3]) == ("done", "RP-")
        assert (third["Contents"]["job"], rig.started()) == (first["Contents"]["job"], 1)
        second = ask(("backup-start", {"asset": ASSET, "step": "again"}))[0]["Contents"]
        rig.let_jobs_end(well=False)
        failed, unknown = ask(
            ("backup-status", {name: second[name] for name in ("asset", "pool", "job")}), ("backup-publish", {})
        )
        assert (failed["Type"], unknown["Type"]) == (4, 4)
        assert "failed" in failed["Contents"]
        (refused,) = ask(start, password={"password": "wrong-secret-3141"})
        assert (refused["Type"], "wrong-secret-3141" in str(refused)) == (4, False)


def test_only_what_waits_for_a_backup_polls_and_declares_all_that_polling_adds() -> None:
    for kind in VENDORS:
        waits = {f"snaphold-{kind}-backup-run", f"snaphold-{kind}-backup-status"} if VENDORS[kind].storage else set[str]()
        commands = {one["name"]: one for one in yml(kind)["script"]["commands"]}
        assert {name for name, one in commands.items() if one.get("polling")} == waits
        for name, command in commands.items():
            arguments = {one["name"]: one for one in command["arguments"]}
            added = {"interval_in_seconds", "timeout_in_seconds", "job_id", "began", "hide_polling_output"}
            assert added & set(arguments) == (added if name in waits else set())
            hidden = [one for one in arguments.values() if one.get("hidden")]
            assert {one["name"] for one in hidden} == ({"job_id", "began", "hide_polling_output"} if name in waits else set())
            assert not [one for one in hidden if "defaultValue" in one], "any text in it hides the first message"
        for name in waits:
            assert {f"Snaphold.Backup.{one}" for one in ("asset", "pool", "job", "state", "restore_point")} <= {
                output["contextPath"] for output in commands[name]["outputs"]
            }
        if waits:
            run, status = commands[f"snaphold-{kind}-backup-run"], commands[f"snaphold-{kind}-backup-status"]
            assert (run["execution"], "execution" in status) == (True, False)
            (polling,) = [one for one in status["arguments"] if one["name"] == "polling"]
            assert (polling["predefined"], polling["defaultValue"]) == (["true", "false"], "false")


@pytest.mark.slow
@pytest.mark.parametrize("kind", PRODUCTS)
def test_a_backup_is_polled_to_its_end_each_turn_in_a_container_of_its_own(kind: str, tmp_path: Path) -> None:
    with product(kind, tmp_path) as rig:
        params, secret, python = params_of(rig), secrets_of(rig)["password"], image_python(IMAGE_PYTHONS[-1])
        name = f"snaphold-{kind}-backup-run"
        declared = next(one for one in yml(kind)["script"]["commands"] if one["name"] == name)["arguments"]

        def turn(given: dict[str, Any]) -> dict[str, Any]:
            (entry,) = play(kind, params, [secret], python, tmp_path, [(name, given)])
            assert set(entry.get("PollingArgs", {})) <= {one["name"] for one in declared}
            return entry

        first = turn({**STEP, "interval_in_seconds": "9", "timeout_in_seconds": "600"})
        assert (first["PollingCommand"], first["NextRun"]) == (name, "9")
        job = first["PollingArgs"]["job_id"]
        second = turn(first["PollingArgs"])
        late = turn(later(second["PollingArgs"], 601))
        assert (late["Type"], f"job {job} still runs" in late["Contents"]) == (4, True)
        rig.let_jobs_end()
        ended = turn(second["PollingArgs"])
        assert (ended["Contents"]["state"], ended["Contents"]["job"]) == ("done", job)
        assert (rig.started(), starts_asked(rig)) == (1, 1)
        server = cast("Any", rig).server
        server.faults.switch_on(
            Fault("reset_after", 1, "POST", {"veeam": "/api/v1/jobs/"}.get(kind, "/webconsole/api/CreateTask"))
        )
        lost = turn({**STEP, "step": "main.again"})
        assert (lost["PollingArgs"]["job_id"] != job, rig.started(), starts_asked(rig)) == (True, 2, 2)
        rig.let_jobs_end(well=False)
        failed = turn(lost["PollingArgs"])
        assert (failed["Type"], "the backup failed" in failed["Contents"], rig.started()) == (4, True, 2)
