"""Backups that XSOAR follows to their end at the product itself: once started, then only asked about, never a false success."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from snaphold.http_guard import forget_everything
from snaphold.providers.veeam_session import forget_sign_ins
from snaphold.simulators.faults import FOR_EVER, Fault
from snaphold.soar.answers import DONE, FAILED, RUNNING, UNKNOWN
from snaphold.soar.followed import standing_of
from snaphold.soar.products import POOL
from snaphold.soar.xsoar_call import GRACE_SECONDS
from support.commvault_rig import ProductRig as CommvaultRig
from support.product_access import PRODUCTS, product, secrets_of
from support.product_commands import ERROR, START_PATHS, STEP, backup_of, follow, later, params_of, say, starts_asked
from support.quick_retries import no_pauses
from support.veeam_rig import ProductRig as VeeamRig
from support.vendor_rigs import ASSET, VendorRig
from support.xsoar_walker import XsoarWalker


@pytest.fixture(params=PRODUCTS)
def rig(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VendorRig]:
    no_pauses(monkeypatch)
    with product(request.param, tmp_path) as found:
        yield found


def break_calls(rig: VendorRig, kind: str, method: str = "*", path: str = "", times: int = FOR_EVER) -> None:
    cast("Any", rig).server.faults.switch_on(Fault(kind, times, method, path))


def mend_calls(rig: VendorRig) -> None:
    cast("Any", rig).server.faults.clear()
    forget_everything()


def end_partially(rig: VendorRig) -> None:
    """Have the job end with less than was asked for."""
    if isinstance(rig, CommvaultRig):
        rig.own_jobs()[0].failed_files = 3
    rig.let_jobs_end()
    if isinstance(rig, VeeamRig):
        (run,) = rig.world.runs.values()
        run.result, run.message = "Warning", "The repository is nearly full"


def test_a_backup_is_started_once_and_followed_to_its_end(rig: VendorRig) -> None:
    given = {**STEP, "interval_in_seconds": "7", "timeout_in_seconds": "900"}
    first, *_, last = entries = follow(rig, "backup-run", given, lambda: None, lambda: None, rig.let_jobs_end)
    assert len(entries) == 4
    assert (first["NextRun"], first["Timeout"]) == ("7", str(900 + GRACE_SECONDS))
    job = first["PollingArgs"]["job_id"]
    assert (backup_of(first)["job"], backup_of(first)["state"]) == (job, "running")
    assert job in first["HumanReadable"]
    found = last["Contents"]
    assert (found["job"], found["pool"], found["state"], found["restore_point"][:3]) == (job, POOL, "done", "RP-")
    assert found["backup_outcome"] in ("succeeded", "partial")
    step = next(value for path, value in last["EntryContext"].items() if path.startswith("Snaphold.Step.save("))
    assert (step["state"], step["job"]) == ("done", job)
    assert (rig.started(), starts_asked(rig)) == (1, 1)


def test_no_secret_stands_in_what_the_server_keeps_for_the_next_turn(rig: VendorRig) -> None:
    entry = say(rig, "backup-run", STEP)
    assert secrets_of(rig)["password"] not in str(entry)
    assert "password" not in entry["PollingArgs"]


def test_the_same_step_follows_its_job_again_and_never_starts_another(rig: VendorRig) -> None:
    first, again = (say(rig, "backup-run", STEP) for _ in range(2))
    started = say(rig, "backup-start", STEP)
    assert backup_of(first)["job"] == backup_of(again)["job"] == started["Contents"]["job"]
    rig.let_jobs_end()
    (ended,) = follow(rig, "backup-run", STEP)
    assert (ended["Contents"]["state"], rig.started(), starts_asked(rig)) == ("done", 1, 1)
    (more,) = [say(rig, "backup-run", {**STEP, "generation": "2"})]
    assert (backup_of(more)["job"] != backup_of(first)["job"], rig.started()) == (True, 2)


def test_a_backup_that_fails_is_an_error_with_its_job_and_is_not_started_again(rig: VendorRig) -> None:
    first, last = follow(rig, "backup-run", STEP, lambda: rig.let_jobs_end(well=False))
    assert last["Type"] == ERROR
    assert "the backup failed" in last["Contents"]
    assert f"job {backup_of(first)['job']}" in last["Contents"]
    again = say(rig, "backup-run", STEP)
    assert (again["Type"], rig.started(), starts_asked(rig)) == (ERROR, 1, 1)
    assert "a higher generation" in again["Contents"]


def test_a_partial_backup_is_told_as_one(rig: VendorRig) -> None:
    *_, last = follow(rig, "backup-run", STEP, lambda: end_partially(rig))
    found = last["Contents"]
    assert (found["outcome"], found["backup_outcome"], found["state"]) == ("partial", "partial", "done")
    assert found["findings"]
    assert "Backup: partial" in last["HumanReadable"]


def test_a_backup_that_still_runs_when_the_time_is_over_is_an_error_that_names_its_job(rig: VendorRig) -> None:
    first = say(rig, "backup-run", {**STEP, "timeout_in_seconds": "3600"})
    late = say(rig, "backup-run", later(first["PollingArgs"], 3601))
    job = backup_of(first)["job"]
    assert late["Type"] == ERROR
    assert "was not done within 3600 seconds" in late["Contents"]
    assert f"job {job} still runs" in late["Contents"]
    assert f"!snaphold-{rig.kind}-backup-status asset={ASSET} pool={POOL} job={job} polling=true" in late["Contents"]
    assert rig.started() == 1
    *_, last = follow(rig, "backup-run", STEP, rig.let_jobs_end)
    assert (last["Contents"]["state"], last["Contents"]["job"], rig.started()) == ("done", job, 1)


def test_a_job_that_ended_in_time_is_no_late_one_although_the_question_comes_late(rig: VendorRig) -> None:
    first = say(rig, "backup-run", {**STEP, "timeout_in_seconds": "600"})
    rig.let_jobs_end()
    assert say(rig, "backup-run", later(first["PollingArgs"], 900))["Contents"]["state"] == "done"


def test_a_start_whose_answer_is_lost_is_looked_up_and_followed(rig: VendorRig) -> None:
    break_calls(rig, "reset_after", "POST", START_PATHS[rig.kind], 1)
    *_, last = follow(rig, "backup-run", STEP, rig.let_jobs_end)
    assert (last["Contents"]["state"], rig.started(), starts_asked(rig)) == ("done", 1, 1)


def test_a_start_that_nobody_can_look_up_is_unknown_and_the_same_step_finds_it(rig: VendorRig) -> None:
    break_calls(rig, "reset_after", "POST", START_PATHS[rig.kind], 1)
    break_after_start(rig)
    lost = say(rig, "backup-run", STEP)
    assert lost["Type"] == ERROR
    assert "known" in lost["Contents"]
    mend_calls(rig)
    *_, last = follow(rig, "backup-run", STEP, rig.let_jobs_end)
    assert (last["Contents"]["state"], rig.started(), starts_asked(rig)) == ("done", 1, 1)


def break_after_start(rig: VendorRig) -> None:
    """Have every question fail as soon as the backup was started."""
    simulator, broken = cast("Any", rig).simulator, list[bool]()
    answer = simulator.answer

    def answering(call: Any) -> Any:
        told = answer(call)
        if rig.started() and not broken:
            broken.append(True)
            break_calls(rig, "unavailable", "GET")
            break_calls(rig, "error", "POST")
        return told

    simulator.answer = answering


def test_a_question_without_an_answer_is_asked_again(rig: VendorRig) -> None:
    first = say(rig, "backup-run", STEP)
    break_calls(rig, "reset_before")
    silent = say(rig, "backup-run", {**first["PollingArgs"], "hide_polling_output": ""})
    assert silent["PollingArgs"]["job_id"] == backup_of(first)["job"]
    assert "is asked again" in silent["HumanReadable"]
    late = say(rig, "backup-run", later(silent["PollingArgs"], 10**6))
    assert late["Type"] == ERROR
    assert f"job {backup_of(first)['job']} ran on when it last answered; now it does not" in late["Contents"]
    mend_calls(rig)
    rig.let_jobs_end()
    assert say(rig, "backup-run", silent["PollingArgs"])["Contents"]["state"] == "done"
    assert (rig.started(), starts_asked(rig)) == (1, 1)


@pytest.mark.parametrize("fault", ["garbage", "other_shape", "forbidden"])
def test_a_question_that_is_refused_is_an_error_that_names_the_job(rig: VendorRig, fault: str) -> None:
    first = say(rig, "backup-run", STEP)
    break_calls(rig, fault)
    refused = say(rig, "backup-run", first["PollingArgs"])
    assert refused["Type"] == ERROR
    assert backup_of(first)["job"] in refused["Contents"]
    assert rig.started() == 1


def test_a_poll_that_has_lost_its_job_starts_nothing(rig: VendorRig) -> None:
    first = say(rig, "backup-run", STEP)
    lost = {name: value for name, value in first["PollingArgs"].items() if name != "job_id"}
    refused = say(rig, "backup-run", lost)
    assert (refused["Type"], "has lost its job" in refused["Contents"], starts_asked(rig)) == (ERROR, True, 1)


def test_a_job_that_the_product_has_forgotten_is_an_error_and_is_not_started_anew(rig: VendorRig) -> None:
    first = say(rig, "backup-run", STEP)
    if isinstance(rig, VeeamRig):
        rig.world.runs.clear()
        rig.world.jobs = {id: job for id, job in rig.world.jobs.items() if "Key: " not in str(job.get("description"))}
    else:
        cast("CommvaultRig", rig).simulator.estate.jobs.clear()
    say(rig, "backup-run", first["PollingArgs"])
    gone = say(rig, "backup-run", later(first["PollingArgs"], 10**6))
    assert gone["Type"] == ERROR
    assert backup_of(first)["job"] in gone["Contents"]
    assert (rig.started(), starts_asked(rig)) == (0, 1)


def test_a_start_that_is_refused_is_an_error_at_once_and_is_not_polled(rig: VendorRig) -> None:
    entry = say(rig, "backup-run", {**STEP, "asset": "not-there-1"})
    assert (entry["Type"], rig.started(), starts_asked(rig)) == (ERROR, 0, 0)


def test_the_status_is_asked_once_or_with_polling_to_the_end(rig: VendorRig) -> None:
    job = say(rig, "backup-start", STEP)["Contents"]["job"]
    given = {"asset": ASSET, "pool": POOL, "job": job}
    once = say(rig, "backup-status", {**given, "polling": "false"})
    assert (once["Contents"]["state"], "PollingCommand" in once) == ("running", False)
    first = say(rig, "backup-status", {**given, "polling": "true", "timeout_in_seconds": "600"})
    late = say(rig, "backup-status", later(first["PollingArgs"], 601))
    assert (late["Type"], f"job {job} still runs" in late["Contents"]) == (ERROR, True)
    *_, last = follow(rig, "backup-status", {**given, "polling": "true"}, lambda: None, rig.let_jobs_end)
    assert (last["Contents"]["state"], last["Contents"]["job"], starts_asked(rig)) == ("done", job, 1)


def test_an_end_that_nobody_knows_is_no_success(tmp_path: Path) -> None:
    with product("veeam", tmp_path) as rig:
        first = say(rig, "backup-run", STEP)
        rig.let_jobs_end()
        cast("VeeamRig", rig).world.points.clear()
        ended = say(rig, "backup-run", first["PollingArgs"])
        assert ended["Type"] == ERROR
        assert "it is not known whether there is a backup" in ended["Contents"]
        assert f"job {backup_of(first)['job']} has ended" in ended["Contents"]


@pytest.mark.parametrize(
    ("state", "outcome", "standing"),
    [
        ("running", "succeeded", RUNNING),
        ("done", "succeeded", DONE),
        ("done", "partial", DONE),
        ("done", "failed", FAILED),
        ("failed", "failed", FAILED),
        ("failed", "succeeded", FAILED),
        ("done", "unknown", UNKNOWN),
        ("something-new", "succeeded", UNKNOWN),
        (None, None, UNKNOWN),
    ],
)
def test_only_a_job_that_is_done_and_good_counts_as_done(state: str | None, outcome: str | None, standing: str) -> None:
    assert standing_of({"state": state, "outcome": outcome}) == standing


def playbook(kind: str) -> dict[str, Any]:
    """Return a playbook as a person draws it: back up, then seal the case or tell that there is no backup."""

    def task(number: str, command: str, following: dict[str, list[str]], **given: str) -> dict[str, Any]:
        arguments = {name: {"simple": value} for name, value in given.items()}
        return {
            "id": number, "type": "regular", "task": {"script": f"|||{command}"}, "scriptarguments": arguments,
            "nexttasks": following, "continueonerror": True, "continueonerrortype": "errorPath",
        }  # fmt: skip

    run = f"snaphold-{kind}-backup-run"
    tasks = {
        "0": {"id": "0", "type": "start", "nexttasks": {"#none#": ["1"]}},
        "1": task("1", run, {"#none#": ["2"], "#error#": ["3"]}, asset=ASSET, justification="An exercise", step="case.save"),
        "2": task("2", "note", {"#none#": ["4"]}, text="Backed up as ${Snaphold.Backup.restore_point}"),
        "3": task("3", "note", {"#none#": ["4"]}, text="No backup; job ${Snaphold.Backup.job}"),
        "4": {"id": "4", "type": "title"},
    }
    return {"inputs": [], "outputs": [], "starttaskid": "0", "tasks": tasks}


@pytest.mark.parametrize("well", [True, False])
def test_a_playbook_waits_for_the_end_and_takes_the_way_of_errors_after_a_failure(rig: VendorRig, well: bool) -> None:
    notes: list[str] = []

    def run(command: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        if command == "note":
            notes.append(arguments["text"])
            return {}
        name = command.removeprefix(f"snaphold-{rig.kind}-")
        entries = follow(rig, name, arguments, lambda: None, lambda: rig.let_jobs_end(well=well))
        return None if entries[-1]["Type"] == ERROR else entries[-1]["EntryContext"]

    walked = XsoarWalker({"Back up": playbook(rig.kind)}, run, {"id": "7"}).walk("Back up", {})
    assert walked.tasks == ["0", "1", "2" if well else "3", "4"]
    assert notes[0].startswith("Backed up as RP-" if well else "No backup; job ")
    assert (rig.started(), starts_asked(rig)) == (1, 1)


def test_each_turn_may_run_in_a_fresh_container(rig: VendorRig) -> None:
    def forget() -> None:
        forget_sign_ins()
        forget_everything()

    def end() -> None:
        forget()
        rig.let_jobs_end()

    *_, last = follow(rig, "backup-run", STEP, forget, end)
    assert (last["Contents"]["state"], rig.started()) == ("done", 1)


def test_an_instance_without_a_password_is_told_so_before_anything_is_asked(
    rig: VendorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(found: VendorRig) -> dict[str, Any]:
        return {**params_of(found), "password": {}}

    monkeypatch.setattr("support.product_commands.params_of", without)
    entry = say(rig, "backup-run", STEP)
    assert (entry["Type"], "Password is missing" in entry["Contents"], starts_asked(rig)) == (ERROR, True, 0)
