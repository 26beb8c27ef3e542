"""The vendors' own Shuffle apps: their files, and every method under the real shuffle-sdk against the simulators."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import requests
import yaml
from jsonschema import Draft202012Validator

from shuffle_document import folder_of
from shuffle_vendors import vendor_app_files
from snaphold import __version__
from snaphold.platforms.base import CaseStatus
from snaphold.platforms.credentials import NOT_SECRET
from snaphold.soar.shuffle_names import CHECK
from snaphold.soar.shuffle_vendor import methods_of, settings_of
from snaphold.soar.vendors import VENDORS, brand
from support.needs import need_shared
from support.platform_rigs import PagerDutyRig, Rig, ServiceNowRig
from support.ports import reserve_port
from support.product_access import PRODUCTS, address_of, product, secrets_of, settings_of_product
from support.shuffle_app import App, Ran
from support.vendor_rigs import ASSET

pytestmark = pytest.mark.slow
STEP = {"snaphold_incident": "INC-1", "snaphold_justification": "An exercise"}
HOSTILE = "{% python %}open('made','w'){% endpython %} {{ 6 | times: 7 }} $word"
RIGS: dict[str, Callable[[Path], Rig]] = {"pagerduty": PagerDutyRig, "servicenow": ServiceNowRig}


def api(kind: str) -> dict[str, Any]:
    return yaml.safe_load(vendor_app_files(kind)[f"{folder_of(brand(kind))}/api.yaml"])


def test_every_vendor_is_run() -> None:
    assert {*RIGS, *PRODUCTS} == set(VENDORS)


@pytest.mark.parametrize("kind", VENDORS)
def test_the_files_are_those_that_the_loader_wants(kind: str) -> None:
    files, folder = vendor_app_files(kind), f"apps/snaphold{kind}/{__version__}"
    names = {"api.yaml", "Dockerfile", "requirements.txt", "README.md", "src/app.py"}
    assert {f"{folder}/{name}" for name in names} <= set(files)
    assert [name for name in files if name.startswith(f"{folder}/wheels/snaphold-") and name.endswith(".whl")]
    schema = json.loads(need_shared("tools/shuffle/app.schema.json").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(api(kind))] == []
    assert files == vendor_app_files(kind)


@pytest.mark.parametrize("kind", VENDORS)
def test_the_class_and_api_yaml_agree_and_the_class_guards_itself_first(kind: str) -> None:
    code = vendor_app_files(kind)[f"{folder_of(brand(kind))}/src/app.py"].decode()
    (made,) = [node for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    methods = {node.name: node for node in made.body if isinstance(node, ast.FunctionDef) and node.name != "__init__"}
    document = api(kind)
    assert made.name == document["name"] == brand(kind)
    assert set(methods) == {action["name"] for action in document["actions"]} == {*methods_of(kind), CHECK.name}
    access = {one["name"] for one in document["authentication"]["parameters"]}
    assert access == set(settings_of(kind))
    for action in document["actions"]:
        named = {one["name"] for one in action["parameters"]}
        assert {argument.arg for argument in methods[action["name"]].args.args} - {"self"} == named | access
        assert named
        assert not named & (access | {"body"})
        assert all(one["example"] for one in action["parameters"])
        assert not action.get("auth_not_required")
    assert code.index("refuse_templates(sdk)\n") < code.index("class Snaphold")
    claims = [
        text for action in document["actions"] for text in (action["description"], *(str(one) for one in action["parameters"]))
    ]
    assert not [text for text in claims if "audit trail" in text or "register" in text], "there is none of it here"


class Vendor:
    """A vendor's built app and its simulator."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.rig = RIGS[kind](folder)
        self.app = App(folder / "app", vendor_app_files(kind))
        settings = ",".join(f"{name}={value}" for name, value in self.rig.settings().items())
        credentials = {name: value for name, value in self.rig.secrets().items() if name in VENDORS[kind].credentials}
        self.access = {"url": self.rig.server.url, **credentials, "ca_file": str(self.rig.server.ca_file), "settings": settings}
        self.secrets = [value for name, value in credentials.items() if name not in NOT_SECRET]

    def run(self, method: str, given: dict[str, str], **options: Any) -> Ran:
        """Run one method; whatever comes of it, no secret is told."""
        ran = self.app.run(method, {**self.access, **given}, **options)
        assert ran.status == "SUCCESS", ran.written
        assert not [value for value in self.secrets if value in ran.text or value in ran.written]
        assert "unforeseen" not in ran.text
        return ran


@pytest.fixture(scope="module", params=RIGS)
def vendor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "app").mkdir()
    made = Vendor(request.param, folder)
    with made.app:
        yield made
    made.rig.close()


def test_every_action_on_an_incident_runs_at_the_simulator_and_a_repeat_finds_the_first(vendor: Vendor) -> None:
    reference = vendor.rig.open_incident()
    about = {**STEP, "reference": reference}
    assert vendor.run(CHECK.name, {"note": "check"}).result["success"] is True
    assert vendor.run("incident_read", {"reference": reference}).result["success"] is True
    note = {**about, "snaphold_step": "note", "text": "Backup done."}
    first, again = (vendor.run("incident_add_note", note).result for _ in range(2))
    assert [(one["success"], one["found"]) for one in (first, again)] == [(True, False), (True, True)]
    ended = vendor.run("incident_set_status", {**about, "snaphold_step": "resolve", "status": "resolved", "note": "Sealed."})
    assert (ended.result["success"], ended.result["status"]) == (True, "resolved")
    assert vendor.rig.status(reference) is CaseStatus.RESOLVED
    assert sum("Backup done." in text for text in vendor.rig.notes(reference)) == 1


def test_hostile_text_of_an_alert_reaches_the_system_as_text(vendor: Vendor) -> None:
    reference = vendor.rig.open_incident()
    given = {**STEP, "snaphold_step": "hostile", "reference": reference, "text": "$exec.h"}
    ran = vendor.run("incident_add_note", given, argument=json.dumps({"h": HOSTILE}))
    assert ran.result["success"] is True, ran.text
    assert sum(HOSTILE in text for text in vendor.rig.notes(reference)) == 1
    hostile = {"condition": "$before.way"}
    before = json.dumps({"success": True, "way": HOSTILE})
    vendor.app.run("check_connection", hostile, results=[f"Before={before}"], conditions=[("$before.way", "equals", "next")])
    assert not (vendor.app.folder / "made").exists()


def test_what_goes_wrong_is_never_a_success(vendor: Vendor) -> None:
    asked = {"reference": "NOT-THERE-1"}
    assert vendor.run("incident_read", asked).result["success"] is False
    assert vendor.run("incident_add_note", {**asked, "text": "a"}).result["success"] is False
    assert vendor.run("incident_read", {**asked, "url": "https://127.0.0.1:9"}).result["success"] is False
    assert vendor.run("incident_read", {**asked, "ca_file": ""}).result["success"] is False


@pytest.mark.parametrize("vendor", ["servicenow"], indirect=True)
def test_a_change_is_opened_once_and_closed_once_it_is_approved(vendor: Vendor) -> None:
    opening = {**STEP, "snaphold_step": "change", "summary": "Emergency backup", "description": "Before containment"}
    first, again = (vendor.run("change_open_emergency", opening).result for _ in range(2))
    assert first["success"] is True, first
    assert first["change"] == again["change"]
    closing = {**STEP, "snaphold_step": "close", "change": first["change"], "successful": "true", "notes": "Sealed."}
    assert "cannot be closed now" in vendor.run("change_close", closing).result["why"]
    cast("ServiceNowRig", vendor.rig).simulator.approve(first["change"])
    closed = vendor.run("change_close", closing).result
    assert closed["success"] is True, closed
    assert vendor.run("change_check_standard", {"name": "No such change"}).result["usable_text"] == "false"


def test_the_app_of_pagerduty_has_no_changes() -> None:
    assert not [name for name in methods_of("pagerduty") if name.startswith("change_")]


@pytest.mark.parametrize("kind", PRODUCTS)
def test_a_backup_is_started_once_and_followed_at_the_product_itself(kind: str, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    with product(kind, tmp_path) as rig, App(tmp_path / "app", vendor_app_files(kind)) as app:
        (url, ca_file), secrets = address_of(rig), secrets_of(rig)
        settings = ",".join(f"{name}={value}" for name, value in settings_of_product(rig).items())
        access = {"url": url, **secrets, "location": rig.location, "ca_file": ca_file, "settings": settings}

        def ask(method: str, **given: str) -> dict[str, Any]:
            return ask_when((), method, given)

        def ask_when(conditions: Sequence[tuple[str, str, str]], method: str, given: Mapping[str, str]) -> dict[str, Any]:
            before = [f"Status={json.dumps(answers['backup_status'])}"] if conditions else []
            ran = app.run(method, {**access, **given}, results=before, conditions=conditions)
            if ran.status == "SKIPPED":
                return {"skipped": True}
            assert ran.status == "SUCCESS", ran.written
            assert secrets["password"] not in ran.text + ran.written
            answers[method] = ran.result
            return ran.result

        answers: dict[str, Any] = {}
        assert ask(CHECK.name, note="check")["success"] is True
        assert ask("backup_check_health", assets=ASSET)["healthy_text"] == "true"
        assert ask("backup_check_capacity", assets=ASSET)["fits_text"] == "true"
        first, again = (ask("backup_start", **STEP, snaphold_step="save", asset=ASSET) for _ in range(2))
        assert (first["success"], first["job"], rig.started()) == (True, again["job"], 1)
        job = {"snaphold_incident": "INC-1", **{name: first[name] for name in ("asset", "pool", "job")}}
        job |= {"snaphold_asked_at": first["asked_at"], "snaphold_within": "6h"}
        again, go_on = [("$status.way", "equals", "waiting")], [("$status.way", "equals", "next")]
        running = ask("backup_status", **job)
        assert (running["state"], running["way"]) == ("running", "waiting")
        assert ask_when(go_on, "backup_check_health", {"assets": ASSET}) == {"skipped": True}
        assert ask_when(again, "backup_status", job)["way"] == "waiting", "the next pass asks again"
        late = ask("backup_status", **{**job, "snaphold_asked_at": "2020-01-01T00:00:00.000Z"})
        assert (late["success"], f"job {first['job']} still runs" in late["why"]) == (False, True)
        assert ask_when(again, "backup_status", job) == {"skipped": True}, "a pass after the deadline asks no more"
        rig.let_jobs_end(well=False)
        failed = ask("backup_status", **job)
        assert (failed["success"], failed["state"]) == (False, "failed")
        assert ask("backup_status", **{**job, "password": "wrong-secret-2718"})["success"] is False


def test_in_server_mode_two_accounts_ask_at_once_and_neither_harms_the_other(tmp_path: Path) -> None:
    """The compose file of Shuffle runs apps this way: many executions in the threads of one process."""
    with product("commvault", tmp_path) as rig:
        (tmp_path / "app").mkdir()
        app = App(tmp_path / "app", vendor_app_files("commvault"))
        (url, ca_file), secrets = address_of(rig), secrets_of(rig)
        settings = ",".join(f"{name}={value}" for name, value in settings_of_product(rig).items())
        access = {"url": url, **secrets, "location": rig.location, "ca_file": ca_file, "settings": settings, "assets": ASSET}
        wrong = {**access, "password": "wrong-secret-2718"}
        port, found = reserve_port(), dict[int, dict[str, Any]]()

        def ask(number: int) -> None:
            action, execution = app.execution("backup_check_health", wrong if number % 2 else access)
            server = app.stub.Backend(0, execution, None)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            address = f"http://127.0.0.1:{server.server_address[1]}"
            told = {
                "workflow_execution": execution, "action": action, "authorization": execution["authorization"],
                "execution_id": execution["execution_id"], "url": address, "base_url": address,
            }  # fmt: skip
            answered = requests.post(f"http://127.0.0.1:{port}/api/v1/run", json=told, timeout=240).json()
            assert answered["success"] is True
            found[number] = json.loads(server.result["result"])
            server.shutdown()
            server.server_close()

        with app.serving(port):
            threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert [found[number]["healthy_text"] for number in range(4)] == ["true", "false", "true", "false"]
    assert not [text for text in (secrets["password"], "wrong-secret-2718") if text in str(found)]
