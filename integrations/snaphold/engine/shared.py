"""Runs that workers share: one process drives many of them, and any of them can go on in another process."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dbos import DBOS, DBOSPortableJSONSerializer, SetWorkflowID

from snaphold.config import Configuration
from snaphold.engine.drive import Drive
from snaphold.engine.durable import (
    APPLICATION_VERSION,
    NOTICE_SECONDS,
    check_version,
    drives,
    log_to,
    open_parts,
    run_workflow,
)
from snaphold.engine.locks import exclusively
from snaphold.engine.run import runs_folder
from snaphold.engine.run_file import file_engine
from snaphold.errors import SnapholdError
from snaphold.ledger.postgresql import connect_to, parse_url

if TYPE_CHECKING:
    from dbos import DBOSConfig

ENGINE_NAME = "dbos_transact"
"""How the connections of the run engine are told from the ledger's, as those that it makes itself."""
CONNECTIONS = 8
"""Connections of one worker to the run engine's tables; the ledger has its own."""
FILE_NAME = "shared.sqlite"
NOTICE_IN_FILE_SECONDS = 0.5
"""In a file each part of a run that waits is asked for in its turn: many that wait must not keep the others from working."""


@contextmanager
def shared_engine(configuration: Configuration, worker: str) -> Generator[None, None, None]:
    """Have DBOS drive shared runs for the length of the block; it takes up only what `take_up` gives it.

    A queue of this worker's own brings back what another one left: no other worker looks into it.
    """
    folder = runs_folder(configuration)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = log_to(folder / f"worker-{worker}.log")
    database: dict[str, Any]
    if configuration.database:
        address = configuration.database_url()
        database = {
            "system_database_url": address,
            "system_database_engine": connect_to(
                parse_url(address), CONNECTIONS, application_name=ENGINE_NAME, search_path="public"
            ),
            "notification_listener_polling_interval_sec": NOTICE_SECONDS,
            "run_migrations": False,
        }
    else:
        database = _in_file(folder / FILE_NAME)
    config: dict[str, Any] = {
        "name": "snaphold",
        "executor_id": worker,
        "application_version": APPLICATION_VERSION,
        "serializer": DBOSPortableJSONSerializer(),
        "log_level": "WARNING",
        "enable_otlp": False,
        **database,
    }
    try:
        DBOS(config=cast("DBOSConfig", config))
        DBOS.listen_queues([_queue_of(worker)])
        with exclusively(folder / f"{FILE_NAME}.lock"):  # of two that launch at once only one may make the tables
            DBOS.launch()
        DBOS.register_queue(_queue_of(worker), polling_interval_sec=NOTICE_SECONDS, on_conflict="never_update")
        yield
        remove_queue(worker)
    finally:
        DBOS.destroy()
        database["system_database_engine"].dispose()
        logging.getLogger("dbos").removeHandler(log)
        log.close()


def _in_file(path: Path) -> dict[str, Any]:
    return {
        "system_database_url": f"sqlite:///{path}",
        "system_database_engine": file_engine(path, CONNECTIONS),
        "notification_listener_polling_interval_sec": NOTICE_IN_FILE_SECONDS,
    }


def remove_queue(worker: str) -> None:
    """Remove the queue of a worker that has ended, by itself or not."""
    DBOS.delete_queue(_queue_of(worker))


def _queue_of(worker: str) -> str:
    return f"worker-{worker}"


def take_up(drive: Drive, worker: str, *, first: bool) -> None:
    """Start the run's workflow here, or go on with the parts that an earlier worker left, all of them in this process.

    `first`: nobody ever had the run before, so it has no history.

    DBOS gives each part a new owner's token; a stale owner that still lives can record nothing from then on.
    """
    known = None if first else DBOS.get_workflow_status(drive.run.id)
    check_version(drive, known)
    drives[drive.run.id] = drive
    if known is None:
        with SetWorkflowID(drive.run.id):
            DBOS.start_workflow(run_workflow, drive.plan.to_document())
        return
    parts = open_parts(drive)
    if not parts:
        raise SnapholdError(
            f"{drive.run.id} cannot go on",
            f"its history ended as {known.status}, and the register does not say how",
            "cancel it and start a new generation",
        )
    resume_parts(parts, worker)


def resume_parts(parts: list[str], worker: str) -> None:
    """Have this process drive parts that nothing drives; what a thread that still has one of them records is refused."""
    DBOS.resume_workflows(parts, queue_name=_queue_of(worker))


def put_down(drive: Drive) -> None:
    """Forget a run that has ended or was left."""
    drives.pop(drive.run.id, None)
