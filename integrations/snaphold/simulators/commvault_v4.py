"""The V4 calls of the simulated Commvault: storage, copies and what is kept in them, plans and their schedules."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, cast

from snaphold.simulators.base import Call, Reply
from snaphold.simulators.commvault_shapes import shown_copy, shown_kept_job, shown_pool, shown_pool_detail
from snaphold.simulators.commvault_state import COMMCELL, Estate, Job


class StorageCalls:
    """Answers V4 for an estate. `keeps_nothing`: a retention is accepted, and nothing comes of it."""

    def __init__(self, estate: Estate) -> None:
        self.estate = estate
        self.keeps_nothing = False
        number = "([0-9]+)"
        self._routes: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
            ("GET", "/V4/Storage/Disk", self._list_pools),
            ("GET", f"/V4/Storage/Disk/{number}", self._show_pool),
            ("GET", f"/V4/Storage/{number}/associatedCopies", self._list_copies),
            ("GET", "/V4/Plan/Summary", self._list_plans),
            ("GET", f"/V4/Plan/BackupDestination/{number}/Jobs", self._kept_jobs),
            ("POST", "/V4/Plan/BackupDestination/JobOperations", self._operate),
            ("GET", f"/V4/ServerPlan/{number}/RPO", self._schedules),
            ("PUT", f"/V4/ServerPlan/{number}/RPO", self._schedules),
        )

    def answer(self, call: Call, path: str) -> Reply | None:
        """Return the answer to a call, None when it is none of V4's."""
        for method, pattern, handler in self._routes:
            match = re.fullmatch(pattern, path)
            if match and method == call.method:
                return handler(call, *(int(part) for part in match.groups()))
        return None

    def _list_pools(self, _call: Call) -> Reply:
        return Reply(200, {"diskStorage": [shown_pool(pool) for pool in self.estate.pools.values()]})

    def _show_pool(self, _call: Call, number: int) -> Reply:
        pool = self.estate.pools.get(number)
        return Reply(200, shown_pool_detail(pool)) if pool else _missing(404, "there is no such storage")

    def _list_copies(self, _call: Call, number: int) -> Reply:
        found = [copy for copy in self.estate.copies.values() if copy.pool == number]
        return Reply(200, {"copies": [shown_copy(copy, self.estate.plans[copy.plan]) for copy in found]})

    def _list_plans(self, _call: Call) -> Reply:
        shown = [
            {"plan": {"id": plan.id, "name": plan.name}, "planType": "Server", "status": plan.status}
            for plan in self.estate.plans.values()
        ]
        return Reply(200, {"plans": shown, "plansCount": len(shown)})

    def _kept_jobs(self, call: Call, number: int) -> Reply:
        copy = self.estate.copies.get(number)
        if copy is None:
            return _missing(404, "there is no such copy")
        first, last = int(call.one("startTime", "0")), int(call.one("endTime", str(2**40)))
        found = [job for job in self.estate.jobs.values() if copy.id in job.retained and first <= job.started_at <= last]
        encrypted = self.estate.pools[copy.pool].encrypted
        return Reply(200, {"jobs": [shown_kept_job(job, copy.id, encrypted=encrypted) for job in found]})

    def _operate(self, call: Call) -> Reply:
        given = cast("dict[str, Any]", call.document())
        copy, operation = int(given["copyId"]), str(given["opType"])
        if int(given["commcellId"]) != COMMCELL or copy not in self.estate.copies:
            return _missing(404, "there is no such copy")
        jobs = [self.estate.jobs[int(number)] for number in given["jobIds"] if int(number) in self.estate.jobs]
        depended = operation == "DELETE" and any(job.dependents for job in jobs)
        for job in jobs:
            if copy in job.retained and not depended:
                self._change(job, copy, operation, int(given.get("retainUntilTime", 0)))
        return Reply(200, {"dependentJobsExist": depended, "jobInfo": [], "error": {"errorCode": 0, "errorMessage": ""}})

    def _change(self, job: Job, copy: int, operation: str, until: int) -> None:
        if operation == "DELETE":
            del job.retained[copy]
        elif operation == "DO_NOT_RETAIN":
            job.retained[copy] = 0
        elif operation == "RETAIN" and not self.keeps_nothing:
            job.retained[copy] = until

    def _schedules(self, call: Call, number: int) -> Reply:
        plan = self.estate.plans.get(number)
        if plan is None:
            return _missing(400, "there is no such plan")
        if call.method == "GET":
            return Reply(200, {"schedules": plan.schedules})
        changed = cast("dict[str, Any]", call.document())["backupFrequency"]
        for given in cast("list[dict[str, Any]]", changed["schedules"]):
            operation = given.get("scheduleOperation", changed.get("operationType"))
            kept = [item for item in plan.schedules if item["scheduleId"] != given.get("scheduleId")]
            if operation != "ADD":
                plan.schedules = kept
            if operation != "DELETE":
                number = given.get("scheduleId") or self.estate.new_schedule()
                shown = {name: value for name, value in given.items() if name != "scheduleOperation"}
                plan.schedules.append({**json.loads(json.dumps(shown)), "scheduleId": number})
        return Reply(200, {"errorCode": 0, "errorMessage": ""})


def _missing(status: int, message: str) -> Reply:
    return Reply(status, {"errorMessage": message, "errorCode": status})
