"""The description of the API is valid, complete, and true: what the service answers is what it describes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from snaphold.action import Effect, catalogue
from snaphold.service.app import build_app
from snaphold.service.callers import Service
from snaphold.service.openapi_3_0 import in_openapi_3_0
from support.service_lab import INCIDENT_DOCUMENT, ServiceLab, serving

EXAMPLES_EACH = 8
"""Requests of each sort to each fixed route; actions are alike and get half as many."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build_app(cast("Service", SimpleNamespace(runtime=None, driver=None))).openapi()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServiceLab]:
    """A service with the real catalogue and nothing behind it that could be hurt."""
    roles = [{"name": "analyst", "members": ["ana"], "may": ["*"]}]
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch, serving(folder, patch, actions=catalogue(), roles=roles) as lab:
        yield lab


def test_the_description_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    from openapi_spec_validator import OpenAPIV31SpecValidator

    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_every_action_is_described_with_both_models_and_examples(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, entry in catalogue().items():
        operation = document["paths"][f"/v1/actions/{name}"]["post"]
        body = operation["requestBody"]["content"]["application/json"]
        assert body["schema"]["$ref"].rpartition("/")[2] == entry.request.__name__
        assert set(schemas[entry.request.__name__]["properties"]) == {*entry.request.model_fields, "incident"}
        assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith(entry.result.__name__)
        sample = {key: value for key, value in body["example"].items() if key != "incident"}
        entry.request.model_validate(sample)
        needed = {one["name"] for one in operation["parameters"] if one["required"]}
        writes = {"Idempotency-Key", "X-Snaphold-Justification"}
        assert needed == (set() if entry.effect is Effect.READS else writes)
        assert operation["security"]


def test_no_action_has_an_input_that_the_service_needs_for_itself() -> None:
    assert [name for name, entry in catalogue().items() if "incident" in entry.request.model_fields] == []


def test_only_health_and_readiness_need_no_token(document: dict[str, Any]) -> None:
    free = [path for path, item in document["paths"].items() for told in item.values() if "security" not in told]
    assert free == ["/healthz", "/readyz"]


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for told in item.values():
            kinds = {kind for status, one in told["responses"].items() if status >= "400" for kind in one["content"]}
            assert kinds == {"application/problem+json"}, path


def test_what_the_importer_of_shuffle_needs_is_in_the_description(document: dict[str, Any]) -> None:
    """Shuffle reads OpenAPI 3.0 into typed structures, takes servers[0] as the address, and knows schemes by their name."""
    from openapi_spec_validator import OpenAPIV30SpecValidator

    older = in_openapi_3_0(document)
    assert list(OpenAPIV30SpecValidator(older).iter_errors()) == []
    assert older["openapi"].startswith("3.0.")
    assert older["info"]["title"] == "Snaphold"
    assert older["servers"][0]["url"].startswith("http")
    assert older["components"]["securitySchemes"]["BearerAuth"]["scheme"] == "bearer"
    assert set(older["paths"]) == set(document["paths"])
    operations = [told for item in older["paths"].values() for told in item.values()]
    assert all(told["summary"] and told["operationId"] for told in operations)
    assert len({told["summary"] for told in operations}) == len(operations)
    assert list(_misfits(older["components"]["schemas"])) == []


def _misfits(schemas: Any) -> Iterator[str]:
    """Yield what would not fit into the structures: a type that is a list, `null`, bounds that are exclusive numbers."""
    waiting: list[tuple[str, Any]] = list(schemas.items())
    while waiting:
        place, schema = waiting.pop()
        if not isinstance(schema.get("type", ""), str) or schema.get("type") == "null":
            yield f"{place}: type"
        if any(not isinstance(schema.get(name, True), bool) for name in ("exclusiveMinimum", "exclusiveMaximum")):
            yield f"{place}: exclusive bound"
        waiting += [(f"{place}.{name}", one) for name, one in schema.get("properties", {}).items()]
        waiting += [(f"{place}.{name}", one) for name in ("anyOf", "oneOf", "allOf") for one in schema.get(name, [])]
        waiting += [(f"{place}.items", schema["items"])] if "items" in schema else []


def test_two_parts_of_one_name_are_kept_apart(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert "unknown" in schemas["JobState"]["enum"]
    assert "HTTPValidationError" not in schemas


@pytest.mark.slow
def test_no_request_that_fits_the_description_ends_in_a_fault(whole: ServiceLab) -> None:
    """Schemathesis makes requests from the description, good ones and bad ones, and checks the answers against it."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as openapi_checks

    schema: Any = schemathesis.openapi.from_dict(whole.request("GET", "/openapi.json").document)
    schema.config.update(base_url=whole.url)
    modes: Any = schemathesis.GenerationMode
    wanted = [
        not_a_server_error,
        openapi_checks.status_code_conformance,
        openapi_checks.content_type_conformance,
        openapi_checks.response_schema_conformance,
    ]
    whole.act("triage.classify_assets", headers={})
    seen: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {whole.tokens['ana']}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= len(catalogue()) + 8
    for operation in operations:
        most = EXAMPLES_EACH // 2 if operation.path.startswith("/v1/actions/") else EXAMPLES_EACH
        for mode in (modes.POSITIVE, modes.NEGATIVE):

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=most,
                deadline=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large],
                database=None,
            )
            def ask(case: Any) -> None:
                if isinstance(case.body, dict) and "incident" in case.body:
                    case.body["incident"] = INCIDENT_DOCUMENT
                reply = case.call(headers=headers, timeout=240)
                seen[reply.status_code] += 1
                case.validate_response(reply, checks=wanted)

            try:
                ask()
            except BaseException as error:
                if "Unsatisfiable" not in type(error).__name__:
                    raise
    assert seen[200] > 20
    assert sum(seen.values()) > 200
