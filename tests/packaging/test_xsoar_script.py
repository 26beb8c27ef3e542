"""The unified integration script, run as a server runs it: on each Python, against the real service, outside of a server."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import threading
from collections.abc import Generator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from snaphold.action import Effect, catalogue
from snaphold.context import Context
from snaphold.errors import ProviderError
from snaphold.soar import xsoar_names as names
from snaphold.soar.xsoar_call import GRACE_SECONDS
from support.ledgers import INCIDENT
from support.service_lab import ServiceLab, serving
from support.toy_actions import install
from support.xsoar_builds import IMAGE_PYTHONS, image_python, integration, run_script, tree
from support.xsoar_play import SHIM

pytestmark = pytest.mark.slow
ROLES = [{"name": "all", "members": ["ana"], "may": ["*"]}]
TOKEN = "a-token-that-nobody-may-see"
HOSTILE = "<script>alert(1)</script> **bold** [click](javascript:alert(1)) | cell\n# head \u202e ${incident.labels} `x`"
WAR_ROOM = {
    "id": "7", "name": "Ransomware", "severity": 4, "type": "Ransomware", "created": "2026-11-22T18:00:00Z",
    "CustomFields": {"snapholdassets": ",".join(INCIDENT.assets), "snapholdincident": INCIDENT.id},
}  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServiceLab]:
    """A real service whose actions answer with their examples; the second question about a job says that it is done."""
    asked: list[str] = []

    def answer(entry: Any) -> Any:
        def function(request: Any, context: Context) -> Any:
            del context
            if entry.name == "report.summary":
                raise ProviderError(HOSTILE, "password=hunter2hunter2 is in here", HOSTILE)
            result = entry.example_result()
            if entry.name == "backup.status":
                asked.append(request.job)
                state = type(result.state)("running" if asked.count(request.job) == 1 else "done")
                return result.model_copy(update={"state": state, "findings": [HOSTILE]})
            return result

        return dataclasses.replace(entry, function=function)

    entries = {name: answer(entry) for name, entry in catalogue().items()}
    with pytest.MonkeyPatch.context() as patch:
        install(patch, *entries.values())
        with serving(tmp_path_factory.mktemp("service"), patch, actions=entries, roles=ROLES) as found:
            yield found


@pytest.fixture(params=IMAGE_PYTHONS)
def python(request: pytest.FixtureRequest) -> str:
    return image_python(request.param)


def ask(lab: ServiceLab, command: str, given: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    params = {"url": lab.url, "credentials": {"password": lab.tokens["ana"]}, "insecure": False, "proxy": False}
    return {"command": command, "args": dict(given or {}), "params": params, "incident": WAR_ROOM, **changes}


def example_arguments(command: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command as a playbook gives them: text."""
    entry = names.commands()[command["name"]]
    found: dict[str, Any] = {"step": f"demo.{command['name'].removeprefix('snaphold-').replace('-', '_')}"}
    for name, info in entry.request.model_fields.items():
        if info.is_required():
            value = info.examples[0] if info.examples else "x"
            found[name] = ",".join(value) if isinstance(value, list) else str(value)
    if entry.effect is not Effect.READS and "justification" not in found:
        found["justification"] = "An exercise: ä"
    if command["name"] == names.wait_name(entry.name):
        state = entry.example_result().model_dump(mode="json")["state"]
        conditions = {} if names.tells_done(entry) else {"until": f'$result.state == "{state}"', "fail": '$result.state == "no"'}
        found |= conditions | {"job": "JOB-wait"} if "job" in found else conditions
        found |= {"interval_in_seconds": "5", "timeout_in_seconds": "600"}
    return found


def test_every_command_runs_and_gives_what_it_declares(lab: ServiceLab, python: str, tmp_path: Path) -> None:
    commands = [one for one in integration()["script"]["commands"] if one["name"] in names.commands()]
    requests = [ask(lab, command["name"], example_arguments(command)) for command in commands]
    for command, answer in zip(commands, run_script(python, tmp_path, requests), strict=True):
        (entry,) = answer["entries"]
        if command["name"] == "snaphold-report-summary":
            assert entry["Type"] == 4
            continue
        if names.commands()[command["name"]].effect is Effect.DESTROYS:
            assert (entry["Type"], "grant" in entry["Contents"]) == (4, True), "what destroys needs a second person"
            continue
        assert entry["Type"] == 1, entry
        if "PollingCommand" in entry:
            assert command["polling"] is True
            continue
        shown = {path.partition("(")[0]: value for path, value in entry["EntryContext"].items()}
        prefix = names.context_prefix(names.commands()[command["name"]].name)
        assert {output["contextPath"] for output in command["outputs"]} == {
            f"{prefix}.{name}" for name in shown[prefix] if name not in ("command", "step")
        }
        step = requests[commands.index(command)]["args"]["step"].partition(".")[2]
        assert f"{names.STEP_PREFIX}.{step}" in shown
    assert {event for event, _ in lab.events("backup.start")} == {"intent", "outcome"}


def test_a_wait_is_polled_by_the_server_and_then_gives_the_result(lab: ServiceLab, python: str, tmp_path: Path) -> None:
    job = f"JOB-{tmp_path.name}"
    given = {"asset": "files-01", "pool": "isolated-01", "job": job, "interval_in_seconds": "7", "timeout_in_seconds": "99"}
    (first,) = run_script(python, tmp_path, [ask(lab, "snaphold-backup-wait", given)])
    (entry,) = first["entries"]
    assert (entry["PollingCommand"], entry["NextRun"], entry["Timeout"]) == (
        "snaphold-backup-wait", "7", str(99 + GRACE_SECONDS),
    )  # fmt: skip
    assert "running" in entry["HumanReadable"]
    following = entry["PollingArgs"]
    declared = next(one for one in integration()["script"]["commands"] if one["name"] == "snaphold-backup-wait")["arguments"]
    assert set(following) <= {argument["name"] for argument in declared}
    (second,) = run_script(python, tmp_path, [ask(lab, "snaphold-backup-wait", following)])
    (entry,) = second["entries"]
    assert "PollingCommand" not in entry
    assert entry["Contents"]["state"] == "done"


def test_hostile_text_becomes_plain_text_in_the_war_room(lab: ServiceLab, python: str, tmp_path: Path) -> None:
    given = {"asset": "files-01", "pool": "isolated-01", "job": "JOB-hostile"}
    reasons = {"step": HOSTILE.replace("\n", " "), "justification": HOSTILE}
    requests = [
        ask(lab, "snaphold-backup-status", given),
        ask(lab, "snaphold-report-summary", {"justification": "x"}),
        ask(lab, names.STOP, {"reason": HOSTILE}),
        ask(lab, "snaphold-backup-start", {"asset": HOSTILE, **reasons}),
        ask(lab, names.ITEMS, {"items": HOSTILE, "place": "p.x.", "step": "p.x"}),
        ask(lab, HOSTILE, {}),
    ]
    for answer in run_script(python, tmp_path, requests):
        for entry in answer["entries"]:
            text = entry["Contents"] if entry["Type"] == 4 else entry["HumanReadable"]
            assert "<script" not in text
            assert not re.search(r"(?<!\\)[\]\[`*|]", text.replace("| ", "").replace(" |", "").replace("* ", ""))
            assert "**bold**" not in text
            assert "javascript:" not in text
            assert "\u202e" not in text
            assert "Traceback" not in text


def test_no_secret_comes_out(lab: ServiceLab, python: str, tmp_path: Path) -> None:
    secret = lab.tokens["ana"]
    requests = [
        ask(lab, "test-module"),
        ask(lab, "snaphold-report-summary", {"justification": f"token {secret}"}),
        ask(lab, "snaphold-hold-place", {"reason": f"token {secret}", "justification": secret, "step": "demo.keep"}),
        ask(lab, names.STOP, {"reason": secret}, params={"credentials": {"password": secret}}),
        ask(lab, "snaphold-triage-classify-assets", {"assets": secret}),
    ]
    told = json.dumps(run_script(python, tmp_path, requests[:3] + requests[4:]))
    assert secret not in told
    assert "hunter2hunter2" not in told


def test_the_connection_test_names_what_to_mend(lab: ServiceLab, python: str, tmp_path: Path) -> None:
    good = ask(lab, "test-module")
    requests = [
        good,
        ask(lab, "test-module", params={**good["params"], "url": "http://127.0.0.1:9"}),
        ask(lab, "test-module", params={**good["params"], "url": "http://snaphold.example.org"}),
        ask(lab, "test-module", params={**good["params"], "credentials": {"password": "snaphold-wrong"}}),
        ask(lab, "test-module", params={**good["params"], "credentials": {}}),
        ask(lab, "test-module", params={**good["params"], "ca_certificate": "nonsense"}),
    ]
    said = [
        entry["Contents"] if isinstance(entry, dict) else entry
        for answer in run_script(python, tmp_path, requests)
        for entry in answer["entries"]
    ]
    assert "The clocks differ by" in said[0]  # the service of the test has a clock that stands still
    assert "Look at Server URL" in said[1]
    assert "is not encrypted" in said[2]
    assert "refuses the API token" in said[3]
    assert "The API token is missing".lower() in said[4].lower()
    assert "The CA certificate is not one".lower() in said[5].lower()


def test_the_right_clock_passes_the_connection_test(python: str, tmp_path: Path) -> None:
    from datetime import datetime, timezone

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            body = json.dumps({"status": "ok", "version": "0.1.0", "time": now, "person": "ana"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        params = {"url": f"http://127.0.0.1:{server.server_port}", "credentials": {"password": TOKEN}}
        (answer,) = run_script(python, tmp_path, [{"command": "test-module", "args": {}, "params": params}])
        server.shutdown()
    assert answer["entries"] == ["ok"]


def test_an_older_pack_in_the_same_container_is_not_used(python: str, tmp_path: Path) -> None:
    code = integration()["script"]["script"]
    older = code.replace("There is nothing to show.", "This is the older pack.").replace(
        "SNAPHOLD_DIGEST = '", "SNAPHOLD_DIGEST = 'older"
    )
    assert older != code
    driver = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); import CommonServerPython as s, demistomock as d\n"
        "for path in sys.argv[2:]:\n"
        "    d.STATE.update(command='snaphold-self-check', args={}, params={})\n"
        "    exec(compile(open(path).read(), path, 'exec'), {**vars(s), 'demisto': d, '__name__': '__builtin__'})\n"
        "    from snaphold.soar.xsoar_text import table\n"
        "    print(table(('a',), []))\n"
    )
    for name, text in (("old.py", older), ("new.py", code)):
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [python, "-I", "-c", driver, str(SHIM), str(tmp_path / "old.py"), str(tmp_path / "new.py")],
        capture_output=True, text=True, check=True, timeout=240,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["This is the older pack.", "There is nothing to show."]


def test_an_image_without_the_right_packages_is_named_as_the_cause(python: str, tmp_path: Path) -> None:
    driver = (
        "import sys; sys.path.insert(0, sys.argv[1]); import CommonServerPython as s, demistomock as d\n"
        "sys.modules['pydantic'] = None\n"
        "try:\n"
        "    exec(compile(open(sys.argv[2]).read(), 's', 'exec'), {**vars(s), 'demisto': d, '__name__': '__builtin__'})\n"
        "except SystemExit:\n"
        "    print(d.RESULTS[0]['Contents'])\n"
    )
    (tmp_path / "script.py").write_text(integration()["script"]["script"])
    words = [python, "-I", "-c", driver, str(SHIM), str(tmp_path / "script.py")]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=240)
    assert "cannot start in this Docker image" in done.stdout
    assert "choose a newer tag of demisto/py3-tools" in done.stdout


def test_the_embedded_modules_are_those_of_the_repository() -> None:
    from xsoar_embed import SOURCES, package_sources

    script = tree()["Packs/Snaphold/Integrations/Snaphold/Snaphold.py"].decode()
    names_: dict[str, Any] = {}
    head = script.partition("# Imports the package")[0].replace(
        "import demistomock as demisto\nfrom CommonServerPython import *\n", ""
    )
    exec(head, names_)  # noqa: S102
    assert names_["SNAPHOLD_SOURCES"] == package_sources()
    assert all((SOURCES / path).read_text() == text for path, text in names_["SNAPHOLD_SOURCES"].items())
    assert "base64" not in head
