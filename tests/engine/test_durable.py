"""Durable runs on DBOS, in one process; tests/chaos kills it."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from snaphold.clock import FixedClock
from snaphold.domain.authority import Approval, ApprovalState, Grant
from snaphold.engine import durable
from snaphold.engine.drive import Drive
from snaphold.engine.driver import cancel_run, resume_run, start_run
from snaphold.engine.durable import DurableSteps
from snaphold.engine.locks import is_held, sole_driver
from snaphold.engine.plan import plan_path
from snaphold.engine.run import Reason, Run, RunStatus, driver_lock
from snaphold.engine.steps import Act, Branch, StepEvent, Tick
from snaphold.errors import BusyError, InputError, LedgerError, StorageError
from snaphold.ledger.checkpoint import signature_check
from snaphold.ledger.entry import Event
from snaphold.ledger.verify import verify_ledger
from support.ledgers import NOW
from support.run_lab import World, make_world, outcomes, plan_of, trial
from support.waiting import wait_for

GATE = """steps:
  - id: before
    do: lab.read
    out: {text: string}
  - id: gate
    approve: {ask: "Do $before.text?", from: group/managers, within: 10m}
  - id: after
    do: lab.write
"""
PART = """inputs:
  asset: {type: string, required: true}
steps:
  - {id: go, do: lab.start, with: {asset: $inputs.asset, says: $inputs.asset}}
"""
EACH = """inputs:
  list: {type: list, required: true}
steps:
  - {id: each, call: part, for_each: $inputs.list, at_once: 2, with: {asset: $item}}
"""
WAVE = """inputs:
  list: {type: list, required: true}
steps:
  - {id: each, call: part, for_each: $inputs.list, at_once: 2, with: {asset: $item}}
"""
WAVES = """inputs:
  waves: {type: list, required: true}
steps:
  - {id: waves, call: wave, for_each: $inputs.waves, at_once: AT_ONCE, with: {list: $item}}
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of its own for each test."""
    return make_world(tmp_path, monkeypatch)


def test_a_run_goes_through_and_is_in_the_register_and_in_the_audit_trail(world: World) -> None:
    run = world.start(
        plan_of(
            "steps:\n  - {id: one, do: lab.read, out: {text: string}}\n  - {id: two, do: lab.write, with: {text: $one.text}}\n"
        )
    )
    assert (run.status, outcomes(run)) == (RunStatus.DONE, [("one", "succeeded"), ("two", "succeeded")])
    entries = world.runtime().ledger.entries(run=run.id)
    assert [(entry.event, entry.action) for entry in entries] == [
        (Event.RUN, "run.start"), (Event.INTENT, "lab.read"), (Event.OUTCOME, "lab.read"),
        (Event.INTENT, "lab.write"), (Event.OUTCOME, "lab.write"), (Event.RUN, "run.end"),
    ]  # fmt: skip
    assert entries[3].key == "INC-1/trial.two/-/1"
    assert entries[0].detail["change_record"] == "CHG1"


def test_a_run_without_a_signing_key_ends_and_says_that_the_trail_is_not_signed(world: World) -> None:
    run = world.start(plan_of("steps:\n  - {id: one, do: lab.read}\n"))
    unsigned = [event.detail["why"] for event in world.events if event.what == "unsigned"]
    assert run.status is RunStatus.DONE
    assert unsigned
    assert "snaphold key create" in unsigned[0]


def test_the_audit_trail_is_signed_when_a_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(tmp_path, monkeypatch, sign=True)
    run = world.start(plan_of("steps:\n  - {id: one, do: lab.read}\n"))
    runtime = world.runtime()
    last = runtime.ledger.entries()[-1]
    report = verify_ledger(runtime.ledger, signature_check(runtime.configuration))
    assert (last.event, last.run) == (Event.CHECKPOINT, run.id)
    assert (report.status.value, report.after_checkpoint) == ("verified", 0)


def test_the_same_run_is_not_started_twice_and_another_generation_is_a_run_of_its_own(world: World) -> None:
    body = "steps:\n  - {id: one, do: lab.start}\n"
    world.start(plan_of(body))
    with pytest.raises(InputError, match="exists already"):
        world.start(plan_of(body))
    assert world.start(plan_of(body, generation=2)).status is RunStatus.DONE
    assert world.lab.vendor.starts() == ["INC-1/trial.one/orders-db/1", "INC-1/trial.one/orders-db/2"]


def test_a_run_waits_at_a_gate_is_left_and_goes_on_where_it_stood(world: World) -> None:
    run = world.start(plan_of(GATE), stay_at_gates=False)
    assert (run.status, run.exit_code) == (RunStatus.WAITING, 5)
    approval = world.runtime().ledger.records(Approval)[0]
    assert (approval.ask, approval.state) == ("Do text?", ApprovalState.WAITING)
    world.vote(approval.id, "ben", "approved")
    run = resume_run(world.runtime(), run.id, listener=world.listen)
    assert (run.status, [outcome for _, outcome in outcomes(run)]) == (RunStatus.DONE, ["succeeded", "approved", "succeeded"])
    assert world.lab.calls == ["text", "text"], "the first step was not done again"


@pytest.mark.parametrize(
    ("votes", "status", "reason", "code"),
    [
        ((("ben", "approved"),), RunStatus.DONE, Reason.NONE, 0),
        ((("ben", "denied"),), RunStatus.FAILED, Reason.DENIED, 4),
    ],
)
def test_an_answer_reaches_a_waiting_run(
    world: World, votes: tuple[tuple[str, str], ...], status: RunStatus, reason: Reason, code: int
) -> None:
    world.answers = {"gate": votes}
    run = world.start(plan_of(GATE))
    assert (run.status, run.reason, run.exit_code) == (status, reason, code)
    assert ("after", "succeeded") in outcomes(run) or status is not RunStatus.DONE
    assert len(run.steps) == (3 if status is RunStatus.DONE else 2)


def test_a_cancel_reaches_a_waiting_run_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "LONGEST_RECEIVE_SECONDS", 600.0)
    world.answers = {"gate": (("ben", "cancel"),)}
    run = world.start(plan_of(GATE))
    assert (run.status, run.cancel_requested) == (RunStatus.CANCELLED, "ben")
    assert run.ended_at is not None
    assert (run.ended_at - run.started_at).total_seconds() < 400, "it is told, and does not wait until it looks again"


def test_a_cancel_during_an_action_lets_it_end_and_nothing_follows(world: World) -> None:
    body = """steps:
  - {id: one, do: lab.read, with: {says: slow}}
  - id: both
    parallel:
      - [{id: left, do: lab.write}]
      - [{id: right, do: lab.write}]
"""

    def cancel(event: StepEvent) -> None:
        if (event.what, event.path) == ("started", "one"):
            cancel_run(world.runtime("ben"), world.run().id)

    run = start_run(world.runtime(), plan_of(body), listener=cancel)
    assert (run.status, run.reason) == (RunStatus.CANCELLED, Reason.CANCELLED)
    assert world.lab.calls == []


def test_a_cancelled_run_is_not_revived_by_resuming_it(world: World) -> None:
    run = world.start(plan_of(GATE), stay_at_gates=False)
    assert cancel_run(world.runtime("ben"), run.id).status is RunStatus.CANCELLED
    assert resume_run(world.runtime(), run.id).status is RunStatus.CANCELLED
    assert world.lab.calls == ["text"]
    with pytest.raises(InputError, match="has ended already"):
        cancel_run(world.runtime(), run.id)


def test_only_one_live_process_drives_a_run(world: World) -> None:
    run = world.start(plan_of(GATE), stay_at_gates=False)
    with (
        sole_driver(driver_lock(world.configuration, run.id), run.id),
        pytest.raises(BusyError, match="driven by a live process"),
    ):
        resume_run(world.runtime(), run.id)


def test_somebody_who_only_looks_whether_a_run_is_driven_keeps_nobody_from_driving_it(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    looking = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)  # as `is_held` does for a moment
    threading.Timer(0.2, os.close, [looking]).start()
    with sole_driver(path, "RUN-1"):
        assert is_held(path)
        with pytest.raises(BusyError, match="driven by a live process"), sole_driver(path, "RUN-1"):
            pass


def test_a_plan_that_was_changed_is_refused(world: World) -> None:
    run = world.start(plan_of(GATE), stay_at_gates=False)
    path = plan_path(world.configuration, run.id)
    path.write_bytes(path.read_bytes().replace(b"lab.write", b"lab.start"))
    with pytest.raises(LedgerError, match="was changed"):
        resume_run(world.runtime(), run.id)


@pytest.mark.slow
def test_nobody_answers_and_the_question_is_escalated_and_then_expires(world: World) -> None:
    """The clock moves only when people were asked: on a slow machine the first line would run out before it was asked."""
    world.clock = clock = FixedClock(NOW)

    def listen(event: StepEvent) -> None:
        world.listen(event)
        if event.what == "waiting":
            clock.advance(1)

    body = GATE.replace("within: 10m", "within: 1s, escalate: {to: group/ciso, within: 1s}")
    run = start_run(world.runtime(), plan_of(body), listener=listen)
    assert (run.status, run.reason, run.exit_code) == (RunStatus.FAILED, Reason.TIMED_OUT, 6)
    asked = [event.detail["people"] for event in world.events if event.what == "waiting"]
    assert asked == [["ben", "cleo"], ["dan"]]
    assert world.runtime().ledger.records(Approval)[0].state is ApprovalState.EXPIRED


@pytest.mark.slow
def test_an_approval_grants_the_role_for_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(tmp_path, monkeypatch, sign=True, authority={"grant_required": ["lab.write"]})
    world.answers = {"gate": (("ben", "approved"),)}
    run = world.start(plan_of(GATE.replace("within: 10m", "within: 10m, grants: {role: backup-emergency, for: 2h}")))
    assert run.status is RunStatus.DONE, run.why
    grant = world.runtime().ledger.records(Grant)[0]
    assert (grant.role, grant.issued_to, grant.issued_by) == ("backup-emergency", "ana", ("ben",))


def test_branches_run_side_by_side_and_their_outputs_reach_what_follows(world: World) -> None:
    meet = "do: lab.read, with: {says: meet, text: "
    body = f"""steps:
  - id: both
    parallel:
      - - {{id: left, {meet}L}}, out: {{text: string}}}}
      - - {{id: right, {meet}R}}, out: {{text: string}}}}
  - {{id: join, do: lab.read, with: {{text: "$left.text$right.text"}}}}
"""
    run = world.start(plan_of(body))
    assert run.status is RunStatus.DONE, run.why
    assert world.lab.calls[-1] == "LR", "each waited for the other, so both ran at the same time"


def test_items_run_at_most_so_many_at_once_and_none_starts_after_a_failure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    choose = DurableSteps._first

    def first(self: DurableSteps, going: Any) -> int:
        """The first item ends only when the end of the second one has been taken note of."""
        index = choose(self, going)
        world.lab.gate.set()
        return index

    monkeypatch.setattr(DurableSteps, "_first", first)
    part = trial(PART, name="part")
    body = EACH
    run = world.start(plan_of(body, part, list=["wait", "refused", "a", "b", "c"]))
    assert run.status is RunStatus.FAILED
    assert sorted(outcomes(run)) == [("each.go", "failed"), ("each.go", "succeeded")]
    assert [line.item for line in run.steps] == ["wait", "refused"]


@pytest.mark.slow
def test_a_failed_branch_lets_the_others_finish_and_fails_the_step(world: World) -> None:
    body = """steps:
  - id: both
    parallel:
      - - {id: bad, do: lab.read, with: {says: refused}}
      - - {id: good, do: lab.read, with: {says: slow}}
        - {id: more, do: lab.write}
  - {id: never, do: lab.write}
"""
    run = world.start(plan_of(body))
    assert (run.status, outcomes(run)) == (RunStatus.FAILED, [("bad", "failed"), ("good", "succeeded"), ("more", "succeeded")])


@pytest.mark.slow
def test_a_gate_in_one_branch_is_left_only_when_the_other_branch_has_ended(world: World) -> None:
    body = """steps:
  - id: both
    parallel:
      - - {id: gate, approve: {ask: "?", from: group/managers, within: 10m}}
        - {id: one, do: lab.write}
      - - {id: work, do: lab.read, with: {says: slow, text: work}}
        - {id: two, do: lab.write, with: {text: two}}
"""
    run = world.start(plan_of(body), stay_at_gates=False)
    assert run.status is RunStatus.WAITING
    assert world.lab.calls == ["work", "two"]
    world.vote(world.runtime().ledger.records(Approval)[0].id, "cleo", "approved")
    run = resume_run(world.runtime(), run.id)
    assert run.status is RunStatus.DONE
    assert world.lab.calls == ["work", "two", "text"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["claim", "settle", "amend"])
def test_a_full_disk_under_the_ledger_leaves_the_run_and_the_next_process_finishes_it(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    plan = plan_of("steps:\n  - {id: one, do: lab.start, on_error: tidy}\nhandlers:\n  tidy: [{id: tidied, do: lab.write}]\n")

    def full(*_: object, **__: object) -> None:
        raise StorageError("the ledger cannot be used", "the file system is full")

    def listen(event: StepEvent) -> None:
        if event.what == "started":
            monkeypatch.setattr(f"snaphold.ledger.database.DatabaseLedger.{method}", full)

    with pytest.raises(StorageError, match="the ledger cannot be used"):
        start_run(world.runtime(), plan, listener=listen)
    monkeypatch.undo()
    monkeypatch.setattr("snaphold.ledger.claims.is_provably_dead", bool)  # the next process is another one
    again = make_world(world.configuration.base, monkeypatch)
    run = resume_run(again.runtime(), plan.run)
    assert outcomes(run) == [("one", "succeeded")]
    assert world.lab.vendor.starts() == ["INC-1/trial.one/orders-db/1"]


@pytest.mark.slow
def test_a_step_waits_while_another_worker_is_at_it(world: World) -> None:
    plan = plan_of("steps:\n  - {id: one, do: lab.start, timeout: 1s, with: {says: wait}, retry: {attempts: 2, every: 1s}}\n")
    run = world.start(plan)
    wait_for(lambda: world.lab.calls)  # the step may be over before its action has got as far
    assert (run.status, len(world.lab.calls)) == (RunStatus.UNKNOWN, 1), "nobody knows, so it is not tried again"
    runtime = world.runtime()
    entry = next(one for one in runtime.ledger.entries() if one.key)
    threading.Timer(0.5, world.lab.gate.set).start()
    drive = Drive(runtime, plan, run, world.listen)
    answer = drive.act(Act("one", "lab.start", {"says": "wait"}))
    assert (answer.outcome, entry.key, world.lab.vendor.starts()) == ("succeeded", "INC-1/trial.one/orders-db/1", [entry.key])


@pytest.mark.slow
def test_a_run_whose_history_is_lost_starts_over_and_repeats_no_write(world: World) -> None:
    body = GATE.replace("do: lab.read", "do: lab.start")
    run = world.start(plan_of(body), stay_at_gates=False)
    for path in (world.configuration.state_folder / "runs").glob(f"{run.id}.sqlite*"):
        path.unlink(missing_ok=True)
    world.vote(world.runtime().ledger.records(Approval)[0].id, "ben", "approved")
    assert resume_run(world.runtime(), run.id).status is RunStatus.DONE
    assert world.lab.vendor.starts() == ["INC-1/trial.before/orders-db/1"]


@pytest.mark.slow
def test_a_fault_of_the_surroundings_leaves_the_run_and_fails_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LedgerError("the ledger is out of reach")

    plan = plan_of("steps:\n  - {id: one, do: lab.read}\n  - {id: two, do: lab.read}\n")
    with monkeypatch.context() as patch:
        patch.setattr("snaphold.engine.drive.Drive.is_cancelled", broken)
        with pytest.raises(LedgerError, match="out of reach"):
            world.start(plan)
    assert world.run().status is RunStatus.RUNNING
    assert resume_run(world.runtime(), plan.run).status is RunStatus.DONE


@pytest.mark.slow
def test_a_step_that_takes_too_long_is_unknown_and_ends_the_run(world: World) -> None:
    run = world.start(
        plan_of("steps:\n  - {id: one, do: lab.write, timeout: 1s, with: {says: wait}}\n  - {id: two, do: lab.read}\n")
    )
    world.lab.gate.set()
    assert (outcomes(run), run.exit_code) == ([("one", "unknown")], 6)
    ledger = world.runtime().ledger
    wait_for(lambda: [entry for entry in ledger.entries() if entry.event is Event.OUTCOME])  # nothing of it goes on later


def test_a_run_has_no_pickle_in_its_file_and_nobody_else_can_read_it(world: World) -> None:
    import sqlite3

    def listen(_event: StepEvent) -> None:
        logging.getLogger("dbos").warning("as on a slow machine")

    run = start_run(world.runtime(), plan_of(GATE), listener=listen, stay_at_gates=False)
    path = world.configuration.state_folder / "runs" / f"{run.id}.sqlite"
    with sqlite3.connect(path) as connection:
        kinds = {row[0] for row in connection.execute("select distinct serialization from operation_outputs")}
        assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    connection.close()
    assert kinds == {"portable_json"}
    assert "as on a slow machine" in path.with_suffix(".log").read_text(encoding="utf-8")
    assert {entry.stat().st_mode & 0o077 for entry in path.parent.iterdir()} == {0}


def test_the_register_record_of_a_run_reads_back(world: World) -> None:
    run = world.start(plan_of(GATE), stay_at_gates=False)
    assert world.runtime().ledger.record(Run, run.id) == run


LONG = """steps:
  - id: backup
    do: lab.start
    poll:
      do: lab.status
      with: {text: job, count: 5}
      until: $result.state == "done"
      fail: $result.state == "failed"
      every: 1s
      within: 10m
"""


def _at_once(steps: DurableSteps, length: timedelta) -> Tick:
    """Wait no time at all."""
    return steps.drive.tick()


def test_a_long_job_does_not_flood_the_audit_trail(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DurableSteps, "pause", _at_once)
    run = world.start(plan_of(LONG))
    assert run.status is RunStatus.DONE
    assert world.lab.calls.count("job") == 6
    asked = [entry for entry in world.runtime().ledger.entries(run=run.id) if entry.action == "lab.status"]
    assert [(entry.event, entry.detail.get("asked")) for entry in asked] == [
        (Event.INTENT, None), (Event.OUTCOME, None), (Event.OUTCOME, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("at_once", ["1", "2"])
def test_each_turn_of_a_loop_within_a_loop_acts_for_its_own_items(world: World, at_once: str) -> None:
    body, parts = WAVES.replace("AT_ONCE", at_once), (trial(PART, name="part"), trial(WAVE, name="wave"))
    run = world.start(plan_of(body, *parts, waves=["a,b,c", "d,e,f,g", "h,i"]))
    assert run.status is RunStatus.DONE
    assert [line.item for line in run.steps] == list("abcdefghi")
    assert sorted(world.lab.vendor.starts()) == sorted(f"INC-1/trial.waves.each.go/{item}/1" for item in "abcdefghi")


def test_a_handler_that_runs_twice_runs_its_branches_twice(world: World) -> None:
    on_error = "on_error: {run: both, then: continue}"
    steps = "".join(f"  - {{id: s{number}, do: lab.write, with: {{says: failed}}, {on_error}}}\n" for number in (1, 2))
    reads = "".join(f"        - [{{id: r{number}, do: lab.read, with: {{text: read}}}}]\n" for number in (1, 2))
    run = world.start(plan_of(f"steps:\n{steps}handlers:\n  both:\n    - id: fan\n      parallel:\n{reads}"))
    assert run.status is RunStatus.PARTIAL
    assert world.lab.calls.count("read") == 4


def test_a_run_whose_branches_were_named_by_an_older_version_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    body = WAVES.replace("AT_ONCE", "1") + "  - {id: gate, approve: {ask: '?', from: group/managers, within: 10m}}\n"
    plan = plan_of(body, trial(PART, name="part"), trial(WAVE, name="wave"), waves=["a,b,c"])

    def older_name(drive: Drive, branch: Branch) -> str:
        return f"{drive.run.id}/{branch.path}"

    with monkeypatch.context() as older:
        older.setattr("snaphold.engine.durable._branch_id", older_name)
        assert world.start(plan, stay_at_gates=False).status is RunStatus.WAITING
    world.vote(world.runtime().ledger.records(Approval)[0].id, "cleo", "approved")
    run = resume_run(world.runtime(), plan.run)
    assert (run.status, [line.item for line in run.steps]) == (RunStatus.DONE, ["a", "b", "c", ""])
    assert len(world.lab.vendor.starts()) == len(world.lab.calls) == 3
