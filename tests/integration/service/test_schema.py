"""The OpenAPI document and a real service: each does what the other says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

load_all_checks()

# The document cannot say what a picture is, nor which models are served: some of what it allows is
# refused. And the texts of a form have no types: "0" is false, as "false" is.
EXCLUDED = [positive_data_acceptance, negative_data_rejection]


@pytest.fixture(scope="module")
def document(service: Any) -> Any:
    return schemathesis.openapi.from_url(f"{service.url}/openapi.json")


def statuses_of(cases: Any) -> set[int]:
    """Those of some requests, whose answers are checked."""
    statuses = set()

    @settings(
        max_examples=12,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        statuses.add(case.call_and_validate(excluded_checks=EXCLUDED).status_code)

    ask()
    return statuses


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_requests_good_and_bad_are_answered_as_the_document_says(
    service: Any, document: Any, mode: GenerationMode
) -> None:
    asked = {}
    for found in document.get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # they take nothing that could be wrong
        asked[operation.path] = statuses_of(operation.as_strategy(generation_mode=mode))
    for path in ("/v1/estimate", "/v1/gate"):
        assert asked[path] & {415, 422}
        assert asked[path] <= {200, 400, 413, 415, 422}
    assert asked["/v1/verify"] <= {400, 404, 413, 415, 422}
    if mode is GenerationMode.POSITIVE:
        assert 200 in asked["/v1/estimate"]
        assert asked["/v1/info"] == asked["/metrics"] == {200}
    assert service.count("failed") == 0


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/v1/estimate", {}),
        ("/v1/estimate", {"gender": "true", "distribution": "true", "draw": "true"}),
        ("/v1/gate", {"challenge_age": "21"}),
    ],
)
def test_rows_are_shaped_as_the_document_says(
    service: Any, document: Any, files: Any, path: str, data: dict[str, str]
) -> None:
    sent = [*files, ("files", ("half", b"GIF89a"))]
    request = service.client.build_request("POST", path, files=sent, data=data)
    request.read()  # schemathesis shows it where the answer is wrong
    answer = service.client.send(request)
    assert [row["status"] for row in answer.json()["results"]] == ["ok", "unreadable"]
    document[path]["POST"].validate_response(answer)
