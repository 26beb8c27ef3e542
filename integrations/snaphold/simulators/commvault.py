"""A stand-in for Commvault: sign-in, jobs and subclients of the old calls; storage, copies and plans of V4.

As the product does, it answers most refusals with HTTP 200 and an errorCode inside. Jobs end after a few questions, or
when `let_jobs_end` is called.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

from snaphold.simulators.base import Call, Reply, Stateful
from snaphold.simulators.commvault_shapes import shown_client, shown_detail, shown_job, shown_subclient, shown_task
from snaphold.simulators.commvault_state import Job, Subclient, example_estate
from snaphold.simulators.commvault_v4 import StorageCalls

USER, PASSWORD = "snaphold", "simulated-password"
QUESTIONS_TO_END = 3
_DENIED = 5
_WRONG_PAGE = Reply(404, headers={"Content-Type": "text/html"}, body=b"<html><body>Not Found</body></html>")


class Simulator(Stateful):
    """A CommServe with one database server, one plan and two storage pools."""

    summary: ClassVar[str] = "Commvault: jobs and subclients of the old API; storage, copies and plans of V4"
    base_path: ClassVar[str] = "/webconsole/api"
    own_faults: ClassVar[Mapping[str, str]] = {
        "error_inside": "200 with an errorCode inside, nothing done",
        "access_denied": "200 with errorCode 5 inside, nothing done",
        "description_hidden": "the order of a job shows no description",
        "retain_ignored": "a retention is accepted and not kept",
        "started_twice": "one order starts two jobs",
    }

    def __init__(self, *, questions_to_end: int | None = QUESTIONS_TO_END) -> None:
        self.estate = example_estate()
        self.knows_v4 = True
        self.questions_to_end = questions_to_end
        self.tokens_given = 0
        self.sign_ins = 0
        self._token = ""
        self._renewable = ""
        self._fault = ""
        self._storage = StorageCalls(self.estate)
        number = "([0-9]+)"
        self._routes: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
            ("POST", "/WhoAmI", self._who),
            ("GET", "/Client", self._list_clients),
            ("GET", "/VSAClientAndClientGroupList", self._list_access_nodes),
            ("GET", "/Subclient", self._list_subclients),
            ("GET", f"/Subclient/{number}", self._show_subclient),
            ("POST", f"/Subclient/{number}/action/backup", self._backup),
            ("POST", "/CreateTask", self._create_task),
            ("GET", f"/Job/{number}", self._show_job),
            ("GET", f"/Job/{number}/TaskDetails", self._show_task),
            ("POST", "/JobDetails", self._job_details),
            ("POST", "/Jobs", self._list_jobs),
            ("POST", f"/Job/{number}/action/kill", self._kill),
        )

    def credentials(self) -> Mapping[str, str]:
        """Return a user and its password."""
        return {"username": USER, "password": PASSWORD}

    def expire(self) -> None:
        """Have the token be worth nothing; it can still be renewed."""
        self._token = ""

    def forget_sign_ins(self) -> None:
        """Have the token be worth nothing, also for renewal, as after a restart of the CommServe."""
        self._token = self._renewable = ""

    def disturb(self, fault: str) -> Callable[[], None] | None:
        """Switch a fault of this vendor on for one call."""
        self._fault = fault

        def undo() -> None:
            self._fault = ""

        return undo

    def refuse(self, status: int, message: str) -> Reply:
        """Return an error in the form of V4."""
        return Reply(status, {"errorMessage": message, "errorCode": status})

    def throttle(self, seconds: int) -> Reply:
        """Return the 429 of the hosted service."""
        return Reply(429, {"errorMessage": "Too many requests", "errorCode": 429}, {"Retry-After": str(seconds)})

    def let_jobs_end(self, status: str = "Completed") -> None:
        """Bring every job that runs to its end."""
        for job in self.estate.jobs.values():
            if job.active:
                self.estate.finish(job, status)

    def answer(self, call: Call) -> Reply:
        """Return the answer to a call."""
        path = call.path.removeprefix(self.base_path)
        if not call.path.startswith(self.base_path) or (path.startswith("/V4/") and not self.knows_v4):
            return _WRONG_PAGE
        if path == "/" and call.method == "GET":
            return Reply(200, {"simulator": self.summary})
        if path == "/Login":
            return self._sign_in(call)
        if path == "/RenewLoginToken":
            return self._renew(call)
        if not self._token or call.headers.get("authtoken") != self._token:
            return Reply(401, {"errorMessage": "Access denied", "errorCode": _DENIED})
        if self._fault == "error_inside":
            return _refused(2, "simulated fault")
        if self._fault == "access_denied":
            return _refused(_DENIED, "Access denied")
        for method, pattern, handler in self._routes:
            match = re.fullmatch(pattern, path)
            if match and method == call.method:
                return handler(call, *(int(part) for part in match.groups()))
        self._storage.keeps_nothing = self._fault == "retain_ignored"
        return self._storage.answer(call, path) or _WRONG_PAGE

    # ---- sign-in ----

    def _sign_in(self, call: Call) -> Reply:
        given = cast("dict[str, Any]", call.document())
        password = b64decode(str(given.get("password", ""))).decode("utf-8", "replace")
        if (given.get("username"), password) != (USER, PASSWORD):
            return Reply(200, {"errList": [{"errorCode": 5, "errLogMessage": "Login failed. Check your username and password."}]})
        self.sign_ins += 1
        return Reply(200, {"userName": USER, "token": self._new_token(), "errList": []})

    def _renew(self, call: Call) -> Reply:
        given = cast("dict[str, Any]", call.document())
        if not self._renewable or given.get("sessionId") != self._renewable:
            return Reply(200, {"error": {"errorCode": 6, "errLogMessage": "The session is not valid."}})
        return Reply(200, {"token": self._new_token()})

    def _new_token(self) -> str:
        self.tokens_given += 1
        self._token = self._renewable = f"QSDK simulated{self.tokens_given:04d}"
        return self._token

    # ---- old calls ----

    def _who(self, _call: Call) -> Reply:
        return Reply(200, {"user": {"userName": USER, "userId": 7}})

    def _list_access_nodes(self, _call: Call) -> Reply:
        return Reply(200, {"clients": []})

    def _list_clients(self, call: Call) -> Reply:
        if "PseudoClientType" in call.query:
            return Reply(200, {"VSPseudoClientsList": []})
        return Reply(200, {"clientProperties": [shown_client(client) for client in self.estate.clients]})

    def _list_subclients(self, call: Call) -> Reply:
        wanted = call.one("clientId")
        found = [item for item in self.estate.subclients if str(item.client.id) == wanted]
        shown = [shown_subclient(item, self.estate.plans.get(item.plan)) for item in found]
        return Reply(200, {"subClientProperties": shown} if shown else {})

    def _show_subclient(self, _call: Call, number: int) -> Reply:
        found = self.estate.subclient(number)
        if found is None:
            return _refused(3, "the subclient does not exist")
        return Reply(200, {"subClientProperties": [shown_subclient(found, self.estate.plans.get(found.plan))]})

    def _create_task(self, call: Call) -> Reply:
        task = cast("dict[str, Any]", call.document())["taskInfo"]
        subclient = self.estate.subclient(int(task["associations"][0]["subclientId"]))
        if subclient is None:
            return _refused(3, "the subclient does not exist")
        options = task["subTasks"][0]["options"]
        level, described = str(options["backupOpts"]["backupLevel"]), str(options["commonOpts"]["jobDescription"])
        return self._started(subclient, level, described)

    def _backup(self, call: Call, number: int) -> Reply:
        subclient = self.estate.subclient(number)
        if subclient is None:
            return _refused(3, "the subclient does not exist")
        return self._started(subclient, call.one("backupLevel", "incremental").capitalize(), None)

    def _started(self, subclient: Subclient, level: str, description: str | None) -> Reply:
        jobs = [self.estate.start(subclient, USER, level, description) for _ in range(2 if self._fault == "started_twice" else 1)]
        return Reply(200, {"taskId": jobs[0].id + 5000, "jobIds": [str(job.id) for job in jobs]})

    def _show_job(self, _call: Call, number: int) -> Reply:
        job = self.estate.jobs.get(number)
        if job is None:
            return Reply(200, {"totalRecordsWithoutPaging": 0})
        self._go_on(job)
        return Reply(200, {"totalRecordsWithoutPaging": 1, "jobs": [shown_job(job, self.estate)]})

    def _go_on(self, job: Job) -> None:
        """Have a job end when it was asked for often enough."""
        job.questions += 1
        if job.active and self.questions_to_end is not None and job.questions >= self.questions_to_end:
            self.estate.finish(job)

    def _show_task(self, _call: Call, number: int) -> Reply:
        job = self.estate.jobs.get(number)
        if job is None:
            return Reply(200, {"error": {"errList": [{"errorCode": 4, "errorMessage": "no such job"}]}})
        shown = shown_task(job)
        if self._fault == "description_hidden":
            shown["taskInfo"]["subTasks"][0]["options"].pop("commonOpts", None)
        return Reply(200, shown)

    def _job_details(self, call: Call) -> Reply:
        job = self.estate.jobs.get(int(cast("dict[str, Any]", call.document())["jobId"]))
        if job is None:
            return Reply(200, {"error": {"errList": [{"errorCode": 4, "errLogMessage": "no such job"}]}})
        return Reply(200, shown_detail(job))

    def _list_jobs(self, call: Call) -> Reply:
        given = cast("dict[str, Any]", call.document())
        chosen, page = given["jobFilter"], given["pagingConfig"]
        clients = {int(item["clientId"]) for item in chosen.get("clientList", [])}
        since = self.estate.now() - int(chosen["completedJobLookupTime"])
        found = [
            job
            for job in sorted(self.estate.jobs.values(), key=lambda job: -job.id)
            if (not clients or job.subclient.client.id in clients)
            and (job.active or job.ended_at >= since)
            and (given["category"] == 0 or job.active == (given["category"] == 1))
        ]
        shown = found[page["offset"] : page["offset"] + page["limit"]]
        return Reply(200, {"totalRecordsWithoutPaging": len(found), "jobs": [shown_job(job, self.estate) for job in shown]})

    def _kill(self, _call: Call, number: int) -> Reply:
        job = self.estate.jobs.get(number)
        if job is None or not job.active:
            return Reply(200, {"errors": [{"errList": [{"errorCode": 8, "errLogMessage": "the job does not run"}]}]})
        self.estate.finish(job, "Killed")
        return Reply(200, {"errorCode": 0, "errorMessage": ""})


def _refused(code: int, message: str) -> Reply:
    return Reply(200, {"errorCode": code, "errorMessage": message})
