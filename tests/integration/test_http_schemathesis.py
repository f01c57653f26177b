"""The whole OpenAPI document, probed by schemathesis: no 5xx, no undocumented status, answers as described."""

from __future__ import annotations

from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from integration.memory_server import MemoryServer

pytestmark = pytest.mark.slow
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
EXAMPLES = 25
"""For each operation and kind of request."""


SEEDS = [
    {"content": f"Something to find {number}", "tags": ["seed"], "metadata": {"n": number}} for number in range(20)
]


def test_every_answer_is_a_documented_one(server: MemoryServer) -> None:
    with server.client() as client:
        client.post("/api/memories/bulk", json={"memories": SEEDS}).raise_for_status()
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 20
    failures = []
    for operation in operations:
        try:
            probe(operation)
        except (Exception, FailureGroup) as failure:  # noqa: BLE001  (whatever it is, the other operations are tried too)
            failure.add_note(f"{operation.method.upper()} {operation.path}")
            failures.append(failure)
    if failures:
        raise BaseExceptionGroup(f"{len(failures)} of {len(operations)} operations break their description", failures)


def probe(operation: schemathesis.APIOperation) -> None:
    """Send valid and invalid requests, the same ones in every run."""
    for mode in schemathesis.GenerationMode:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, timeout=60)

        with suppress(Unsatisfiable):  # an operation without parameters has no invalid requests
            check()
