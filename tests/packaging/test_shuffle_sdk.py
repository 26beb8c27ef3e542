"""The built app under the real shuffle-sdk: every action, hostile text, server mode, and the traps of its conditions."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from shuffle_apps import app_files
from snaphold.action import Effect, catalogue
from snaphold.fields import fields_of, value_text
from snaphold.soar.shuffle_names import METHODS, method_name
from support.ports import reserve_port
from support.shuffle_app import TOKEN, App, Service, sdk_python, service
from support.shuffle_walker import parsed, substitute

pytestmark = pytest.mark.slow
RUN = "RUN-1"
CONTROL = {
    "snaphold_incident": "INC-1",
    "snaphold_step": "by_hand",
    "snaphold_justification": "a test",
}
HOSTILE = ["{% python %}print(6*7){% endpython %}", "{{ 6 | times: 7 }}", "{% raw %}x", "$word and $5", 'say "it"\nnow', "a\\b"]


def example(action: str) -> dict[str, Any]:
    return {**catalogue()[action].example_result().model_dump(mode="json"), "outcome": "succeeded"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """The built app."""
    with App(tmp_path_factory.mktemp("app"), app_files()) as made:
        yield made


@pytest.fixture(scope="module")
def snaphold() -> Iterator[Service]:
    """A small Snaphold service that answers every action with its example."""
    answers: dict[str, Any] = {name: example(name) for name in catalogue()}
    answers["/healthz"] = {"status": "ok", "version": "0.1.0", "time": "2026-11-22T18:00:00.000Z"}
    answers["/v1/whoami"] = {"person": "alice", "roles": [], "token": "t", "expires_at": "2027-01-01T00:00:00.000Z"}
    answers["/v1/jobs/job-1"] = {"id": "job-1", "action": "backup.start", "state": "running"}
    with service(answers) as running:
        yield running


@pytest.mark.parametrize("action", catalogue())
def test_every_action_answers_through_the_sdk(app: App, snaphold: Service, action: str) -> None:
    entry = catalogue()[action]
    given = {shape.name: value_text(shape.examples[0]) for shape in fields_of(entry.request) if shape.required and shape.examples}
    ran = app.run(method_name(action), {"url": snaphold.url, "token": TOKEN, **CONTROL, **given})
    assert ran.status == "SUCCESS", ran.written
    assert ran.result["success"] is True, ran.text
    assert ran.result["outcome"] == "succeeded"
    name, body, headers = snaphold.asked[-1]
    assert name == action
    assert set(given) <= set(body)
    assert ("idempotency-key" in headers) is (entry.effect is not Effect.READS)
    assert TOKEN not in ran.text
    assert TOKEN not in ran.written


@pytest.mark.parametrize("method", [method.name for method in METHODS])
def test_every_helper_answers_with_success_true_or_false_and_never_raises(app: App, snaphold: Service, method: str) -> None:
    chosen = next(one for one in METHODS if one.name == method)
    given = {one.name: one.example.replace("$", "\\$") for one in chosen.parameters if one.example}
    given |= {"seconds": "0"} if method == "pause_run" else {}
    given |= {"job": "job-1"} if method == "job_status" else {}
    ran = app.run(method, {"url": snaphold.url, "token": TOKEN, **given})
    assert ran.status == "SUCCESS"
    assert isinstance(ran.result["success"], bool)
    assert "unforeseen" not in ran.text


def test_a_process_that_is_started_for_one_action_answers_as_one_that_is_forked(app: App, snaphold: Service) -> None:
    given = {"url": snaphold.url, "token": TOKEN, **CONTROL, "reason": "$exec.h"}
    started, forked = (app.run("hold_place", given, argument=json.dumps({"h": HOSTILE[0]}), anew=anew) for anew in (True, False))
    assert started.result["success"] is True, started.text
    assert started.result == forked.result
    assert [body["reason"] for _, body, _ in snaphold.asked[-2:]] == [HOSTILE[0]] * 2


def test_without_any_input_an_action_says_what_is_wrong(app: App) -> None:
    ran = app.run("backup_start", {"asset": ""})
    assert ran.result["success"] is False
    assert ran.result["outcome"] == "failed"


def test_a_service_that_is_not_there_is_no_success(app: App) -> None:
    ran = app.run("backup_check_health", {"url": "http://127.0.0.1:9", "token": TOKEN, "assets": "a"})
    assert ran.result["success"] is False
    assert TOKEN not in ran.text


def test_an_unknown_parameter_does_no_harm(app: App, snaphold: Service) -> None:
    ran = app.run("backup_check_health", {"url": snaphold.url, "token": TOKEN, "assets": "a", "Other-Thing": "x"})
    assert ran.result["success"] is True


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_of_an_alert_stays_text(app: App, snaphold: Service, text: str) -> None:
    given = {"url": snaphold.url, "token": TOKEN, **CONTROL, "reason": "$exec.h"}
    ran = app.run("hold_place", given, argument=json.dumps({"h": text}))
    assert ran.result["success"] is True, ran.text
    assert snaphold.asked[-1][1]["reason"] == text


def test_a_loop_in_an_alert_runs_nothing_twice_that_counts_as_success(app: App, snaphold: Service) -> None:
    """`${x[...]}$` makes the SDK call once per item; then the result is a list, and a branch on success is not taken."""
    given = {"url": snaphold.url, "token": TOKEN, **CONTROL, "reason": "$exec.h"}
    ran = app.run("hold_place", given, argument=json.dumps({"h": '${x["q","r"]}$'}))
    follow = app.run("go_on", {"note": "after"}, results=[f"Hold={ran.text}"], conditions=[("$hold.success", "equals", "true")])
    assert isinstance(json.loads(ran.text), list)
    assert follow.status == "SKIPPED"


def test_a_template_in_a_condition_runs_nothing(app: App) -> None:
    hostile = json.dumps({"success": True, "way": "{% python %}open('made','w'){% endpython %}"})
    ran = app.run("go_on", {"note": "x"}, results=[f"Before={hostile}"], conditions=[("$before.way", "equals", "next")])
    assert ran.status == "SKIPPED"
    assert not (app.folder / "made").exists()


def test_the_sdk_without_our_guard_does_run_the_template(app: App) -> None:
    """The test that shows why the guard is there: the same text, the same SDK, no guard."""
    unsafe = (app.folder / "app.py").read_text().replace("refuse_templates(sdk)", "")
    plain = app.folder / "unsafe"
    plain.mkdir(exist_ok=True)
    (plain / "app.py").write_text(unsafe)
    told = {"question": "$exec.h"}
    ran = app.run("tell_approvers", told, folder=plain, argument=json.dumps({"h": "{% python %}print(6*7){% endpython %}"}))
    assert ran.result["question"] == "42"
    safe = app.run("tell_approvers", told, argument=json.dumps({"h": "{% python %}print(6*7){% endpython %}"}))
    assert "python" in safe.result["question"]


def test_the_pinned_sdk_has_what_the_guard_replaces() -> None:
    code = "import shuffle_sdk.shuffle_sdk as s, importlib.metadata as m; print(s.Liquid.__name__, m.version('shuffle-sdk'))"
    done = subprocess.run([sdk_python(), "-c", code], capture_output=True, text=True, timeout=240, check=True)
    assert done.stdout.split() == ["Liquid", "0.0.41"]


def test_a_long_action_is_a_pair_of_start_and_status(app: App) -> None:
    job = {"id": "job-7", "action": "backup.start", "state": "running"}
    answers = {"backup.start": (202, job), "/v1/jobs/job-7": {**job, "state": "done", "result": example("backup.start")}}
    with service(answers) as running:
        access = {"url": running.url, "token": TOKEN}
        started = app.run("backup_start", {**access, **CONTROL, "asset": "a"})
        assert (started.result["way"], started.result["job"]) == ("waiting", "job-7")
        ended = app.run("job_status", {**access, "job": "job-7"})
    assert (ended.result["way"], ended.result["outcome"]) == ("next", "succeeded")


def test_a_step_of_a_run_acts_once_however_often_it_is_walked(app: App, snaphold: Service) -> None:
    app.cache.clear()
    begun = app.run("begin_run", {"argument": json.dumps({"run": RUN, "incident": "INC-1"}), "playbook": "p", "inputs": "{}"})
    assert begun.result["way"] == "next"
    before = len(snaphold.asked)
    given = {"url": snaphold.url, "token": TOKEN, "snaphold_run": RUN, "snaphold_step": "keep", "reason": "$exec.h"}
    argument = json.dumps({"h": "{% python %}print(1){% endpython %}"})
    first, second = (app.run("hold_place", given, argument=argument) for _ in range(2))
    assert first.result == second.result
    assert len(snaphold.asked) == before + 1
    assert snaphold.asked[-1][2]["idempotency-key"].startswith("INC-1/p.keep/")


def test_server_mode_answers_two_executions_at_once(app: App, snaphold: Service) -> None:
    port = reserve_port()
    given = {"url": snaphold.url, "token": TOKEN, **CONTROL}
    with app.serving(port):
        found: dict[int, dict[str, Any]] = {}

        def one(number: int) -> None:
            action, execution = app.execution("hold_place", {**given, "reason": f"reason {number}"})
            server = app.stub.Backend(0, execution, None)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}"
            told = {"workflow_execution": execution, "action": action, "authorization": execution["authorization"],
                    "execution_id": execution["execution_id"], "url": url, "base_url": url}  # fmt: skip
            answered = requests.post(f"http://127.0.0.1:{port}/api/v1/run", json=told, timeout=240).json()
            assert answered["success"] is True
            found[number] = server.result
            server.shutdown()
            server.server_close()

        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [0, 1, 2, 3]
    assert all(json.loads(result["result"])["success"] is True for result in found.values())


TRAPS = [
    ("5", ">=", "5", False), ("5", "<=", "5", False), ("0.5", ">", "2", True), ("abc", ">", "2", True),
    ("0.5", "<", "1", False), ("2.5", ">", "3", False), ("$missing.x", "does not equal", "low", True),
    ("$missing.x", "!=", "false", True), ("High", "contains_any_of", "high", False), ("High", "re", "^(high)$", False),
    ("High", "equals", "high", True), ("5", "==", "5", False), ("x", "Equals", "x", False),
]  # fmt: skip
"""What the SDK says, and why compiled branches know nothing but `equals` on text that the app computed."""


@pytest.mark.parametrize(("left", "operator", "right", "taken"), TRAPS)
def test_the_operators_of_shuffle_are_traps(app: App, left: str, operator: str, right: str, taken: bool) -> None:
    ran = app.run("go_on", {"note": "x"}, conditions=[(left, operator, right)])
    assert (ran.status == "SUCCESS") is taken


@pytest.mark.parametrize(
    ("left", "operator", "right", "kind", "holds"),
    [
        ("5", ">=", "5", "integer", "true"),
        ("$missing.x", "!=", "low", "integer", None),
        ("High", "==", "high", "string", "false"),
    ],
)
def test_the_app_judges_conditions_by_type(app: App, left: str, operator: str, right: str, kind: str, holds: str | None) -> None:
    ran = app.run("condition_holds", {"left": left, "operator": operator, "right": right, "type": kind})
    assert ran.result.get("holds") == holds
    assert ran.result["success"] is (holds is not None)


TEMPLATES = [
    "$before.text", "see $before.text^_^. Then", "\\$5 and \\$before.text", "$before.items", "$before.flag", "$before.number",
    "$missing.x", "$before.items_text^_^@corp", "$before.empty", '\\$result.state == "done"', "$before-poll.text",
]  # fmt: skip


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_walker_reads_references_as_the_sdk_does(app: App, template: str) -> None:
    before = {"success": True, "text": "it's $pool", "items": ["a", "b, c"], "flag": True, "number": 5, "empty": "",
              "items_text": "a,b"}  # fmt: skip
    other = {"success": True, "text": "polled"}
    results = [f"Before={json.dumps(before)}", f"Before-poll={json.dumps(other)}"]
    ran = app.run("tell_approvers", {"question": template}, results=results)
    ours = parsed(substitute(template, {"before": json.dumps(before), "before-poll": json.dumps(other)}, ""))
    assert ran.result["question"] == (ours if isinstance(ours, str) else json.dumps(ours, ensure_ascii=False))


def test_the_app_is_what_its_folder_says(app: App) -> None:
    assert {path.name for path in Path(app.folder).iterdir()} >= {"app.py", "package"}
