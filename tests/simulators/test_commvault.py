"""The simulated Commvault read by Commvault's own Python client (cvpysdk), which knows nothing of Snaphold."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from snaphold.providers.commvault_answers import SubclientEntity
from snaphold.providers.commvault_jobs import Mark, order_of
from snaphold.simulators.base import Call
from snaphold.simulators.commvault import PASSWORD, USER, Simulator
from snaphold.simulators.server import SimulatorServer

MARK = Mark("isolated-01", "INC-1/snapshot_wave.start/orders-db/1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[SimulatorServer]:
    with SimulatorServer(Simulator(questions_to_end=None), tmp_path_factory.mktemp("commvault")) as made:
        yield made


@pytest.fixture
def simulator(server: SimulatorServer) -> Simulator:
    """A fresh Commvault for each test, behind an address that stays."""
    server.exchanges.clear()
    made = Simulator(questions_to_end=None)
    server.simulator = made
    return made


def _sign_in(server: SimulatorServer, password: str = PASSWORD) -> Any:
    from cvpysdk.commcell import Commcell  # pyright: ignore[reportMissingTypeStubs]

    host = urlsplit(server.url).netloc
    return Commcell(host, USER, password, force_https=True, certificate_path=str(server.ca_file), web_service_url=server.url)


def test_commvaults_own_client_reads_clients_and_jobs(server: SimulatorServer, simulator: Simulator) -> None:
    commcell = _sign_in(server)
    assert commcell.clients.all_clients["orders-db"]["id"] == str(simulator.estate.clients[0].id)
    jobs = commcell.job_controller.all_jobs(client_name="orders-db", lookup_time=48)
    (told,) = jobs.values()
    assert (told["status"], told["backup_level"], told["subclient_id"]) == ("Completed", "Full", 11)


def test_commvaults_own_client_follows_a_job_reads_its_description_and_kills_it(
    server: SimulatorServer, simulator: Simulator
) -> None:
    estate = simulator.estate
    started = estate.start(estate.subclients[0], USER, "Full", MARK.text)
    job = _sign_in(server).job_controller.get(started.id)
    assert (job.status, job.is_finished, job.client_name, job.subclient_name) == ("Running", False, "orders-db", "default")
    (sub_task,) = job.task_details["subTasks"]
    assert sub_task["options"]["commonOpts"]["jobDescription"] == MARK.text
    job.kill()
    assert (job.is_finished, job.status, started.status) == (True, "Killed", "Killed")


def test_commvaults_own_client_renews_a_token_that_expired(server: SimulatorServer, simulator: Simulator) -> None:
    commcell = _sign_in(server)
    simulator.expire()
    assert commcell.job_controller.finished_jobs(client_name="orders-db", lookup_time=48)
    assert (simulator.sign_ins, simulator.tokens_given) == (1, 2)


def test_commvaults_own_client_understands_a_wrong_password(server: SimulatorServer, simulator: Simulator) -> None:
    from cvpysdk.exception import SDKException  # pyright: ignore[reportMissingTypeStubs]

    with pytest.raises(SDKException, match="Login failed"):
        _sign_in(server, "wrong-one")
    assert simulator.sign_ins == 0


def test_our_order_for_a_backup_is_the_one_that_commvaults_own_client_makes() -> None:
    from cvpysdk.subclients.fssubclient import FileSystemSubclient  # pyright: ignore[reportMissingTypeStubs]

    entity = {"subclientId": 11, "subclientName": "default", "clientId": 3, "clientName": "orders-db", "applicationId": 33}
    theirs: Any = object.__new__(FileSystemSubclient)
    theirs._subClientEntity = entity
    made = theirs._backup_json("Full", False, "BEFORE_SYNTH", None, None, {"job_description": MARK.text})["taskInfo"]
    ours = cast("dict[str, Any]", order_of(SubclientEntity.model_validate(entity), MARK, full=True)["taskInfo"])
    assert ours["task"] == made["task"]
    assert entity.items() <= ours["associations"][0].items()
    (our_part,), (their_part,) = ours["subTasks"], made["subTasks"]
    assert our_part["subTask"] == their_part["subTask"]
    for group, options in our_part["options"].items():
        assert options.items() <= their_part["options"][group].items(), group


def test_jobs_end_by_themselves_after_a_few_questions() -> None:
    simulator = Simulator()
    job = simulator.estate.start(simulator.estate.subclients[0], USER, "Full", MARK.text)
    token = simulator.answer(Call("POST", "/webconsole/api/Login", {}, {}, _credentials())).document["token"]
    question = Call("GET", f"/webconsole/api/Job/{job.id}", {}, {"authtoken": token}, b"")
    states = [simulator.answer(question).document["jobs"][0]["jobSummary"]["status"] for _ in range(4)]
    assert states == ["Running", "Running", "Completed", "Completed"]


def test_data_aging_takes_what_is_not_retained_any_more() -> None:
    estate = Simulator(questions_to_end=None).estate
    job = estate.start(estate.subclients[0], USER, "Full", MARK.text)
    estate.finish(job)
    job.retained[32] = estate.now() + 3600
    estate.age()
    assert list(job.retained) == [32]
    estate.advance(7200)
    estate.age()
    assert job.retained == {}


def _credentials() -> bytes:
    return json.dumps({"username": USER, "password": b64encode(PASSWORD.encode()).decode()}).encode()
