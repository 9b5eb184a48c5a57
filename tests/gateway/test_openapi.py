"""The description tells the truth: what it declares is what requests meet, checked by generated requests."""

import json

import hypothesis
import pytest
import schemathesis
from schemathesis import checks as found_checks
from schemathesis.specs.openapi import checks as openapi_checks

from perdure.client.client import AsyncWorkflowClient
from perdure.gateway.http import create_app
from perdure.gateway.settings import GatewaySettings
from tests.client.fake_transport import FakeTransport, snapshot

CASES = 12  # for each operation

client = AsyncWorkflowClient(FakeTransport(snapshot("0"), snapshot("done", status="COMPLETED")))
for number in range(40):
    client.transport.bury(offset=number)
app = create_app(client, settings=GatewaySettings(api_token=None))
schema = schemathesis.openapi.from_asgi("/openapi.json", app)

CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.negative_data_rejection,
    openapi_checks.unsupported_method,
]


@schema.parametrize()
@hypothesis.settings(
    max_examples=CASES, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_what_is_declared_is_what_is_answered(case):
    client.transport.sent.clear()
    checks = [*CHECKS]
    if not case.path.startswith("/v1."):  # Dapr answers a refusal with 500
        checks.append(found_checks.not_a_server_error)
    case.call_and_validate(base_url="http://127.0.0.1", checks=checks)


def test_no_operation_is_left_out():
    paths = app.openapi()["paths"]
    operations = [(path, verb) for path, verbs in paths.items() for verb in verbs]
    assert len(operations) == 3 * 7 + 14 + 6 + 2
    for prefix in ("/v1.0", "/v1.0-beta1", "/v1.0-alpha1"):
        assert f"{prefix}/workflows/{{component}}/{{instance_id}}/raiseEvent/{{event_name}}" in paths


def test_every_error_is_declared_with_daprs_shape():
    for verbs in app.openapi()["paths"].values():
        for operation in verbs.values():
            assert "422" not in operation["responses"]
            for status, response in operation["responses"].items():
                if status >= "400":
                    assert response["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")


@pytest.mark.parametrize("token", [None, "x"])
def test_the_token_is_declared_where_one_is_set(token):
    described = create_app(client, settings=GatewaySettings(api_token=token)).openapi()
    operation = described["paths"]["/v1/instances"]["get"]
    assert ("401" in operation["responses"]) == ("security" in operation) == bool(token)
    assert ("403" in operation["responses"]) == (not token)
    assert "security" not in described["paths"]["/healthz"]["get"]
    assert json.dumps(described)
