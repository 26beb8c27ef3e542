"""What we rely on in DBOS and could only read: which version dequeues what. A new release that differs is seen here."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer, SetWorkflowID

pytestmark = pytest.mark.slow
QUEUE = "facts"
LONGEST_SECONDS = 240.0


@DBOS.workflow(name="fact")
def fact_workflow(text: str) -> str:
    """Return what is given."""
    return text


@contextmanager
def running(url: str, version: str, executor: str = "one") -> Generator[None, None, None]:
    """Have DBOS run here as that version."""
    DBOS(config={
        "name": "facts", "system_database_url": url, "executor_id": executor, "application_version": version,
        "serializer": DBOSPortableJSONSerializer(), "log_level": "ERROR", "enable_otlp": False,
    })  # fmt: skip
    try:
        DBOS.listen_queues([QUEUE])
        DBOS.launch()
        DBOS.register_queue(QUEUE, polling_interval_sec=0.1, on_conflict="never_update")
        yield
    finally:
        DBOS.destroy()


@contextmanager
def client_of(url: str) -> Generator[DBOSClient, None, None]:
    client = DBOSClient(system_database_url=url, serializer=DBOSPortableJSONSerializer())
    try:
        yield client
    finally:
        client.destroy()


def put(client: DBOSClient, id: str, version: str) -> None:
    client.enqueue({"queue_name": QUEUE, "workflow_name": "fact", "workflow_id": id, "app_version": version}, id)


def status(id: str) -> tuple[str, Any]:
    known = DBOS.get_workflow_status(id)
    assert known is not None
    return known.status, known.app_version


def until_done(id: str) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while status(id)[0] != "SUCCESS":
        assert time.monotonic() < deadline, status(id)
        time.sleep(0.05)


@pytest.fixture(params=["file", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of its own."""
    if request.param == "file":
        return f"sqlite:///{tmp_path}/facts.sqlite"
    postgres = request.getfixturevalue("postgres")
    return str(postgres.url(postgres.create()))


def test_a_queue_gives_work_of_another_version_to_nobody_also_after_it_was_resumed(url: str) -> None:
    with running(url, "new"), client_of(url) as client:
        put(client, "older-1", "old")
        put(client, "marker-1", "new")  # put later, and done: so the older one was passed over
        until_done("marker-1")
        assert status("older-1") == ("ENQUEUED", "old")
        DBOS.resume_workflows(["older-1"], queue_name=QUEUE)
        put(client, "marker-2", "new")
        until_done("marker-2")
        assert status("older-1") == ("ENQUEUED", "old")
    with running(url, "old", "two"):
        until_done("older-1")


def test_a_launch_recovers_nothing_of_another_version(url: str) -> None:
    with running(url, "old"):
        with SetWorkflowID("begun"):
            DBOS.start_workflow(fact_workflow, "begun").get_result()
        _reopen("begun")
    with running(url, "new"), client_of(url) as client:
        put(client, "marker", "new")
        until_done("marker")
        assert status("begun") == ("PENDING", "old")
    with running(url, "old"):
        until_done("begun")


def _reopen(id: str) -> None:
    """Have a workflow look as if its process had died in the middle."""
    import sqlalchemy as sa
    from dbos._dbos import _get_dbos_instance  # pyright: ignore[reportPrivateUsage]

    database = _get_dbos_instance()._sys_db  # pyright: ignore[reportPrivateUsage]
    rows = database.tables.workflow_status
    with database.engine.begin() as connection:
        connection.execute(sa.update(rows).where(rows.c.workflow_uuid == id).values(status="PENDING", recovery_attempts=0))
