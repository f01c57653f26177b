"""/mcp is built after start-up: a failure of that is told, and mends itself."""

from __future__ import annotations

from typing import Any

import pytest
from small_application import Connect

from mcp_memory.http import mcp_endpoint

pytestmark = pytest.mark.anyio
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


async def test_a_failed_import_is_503_and_not_ready_and_tried_again(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, broken = mcp_endpoint._build, True

    def building(*arguments: Any) -> Any:
        if broken:
            raise OSError(24, "Too many open files")
        return build(*arguments)

    monkeypatch.setattr(mcp_endpoint, "_build", building)
    client = await connect()
    answer = await client.post("/mcp", json=PING)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "Too many open files" in answer.json()["error"]["message"]
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/api/tags")).status_code == 200
    broken = False
    answers = [await client.post("/mcp", json=PING) for _ in range(2)]
    assert answers[-1].status_code == 200  # the first may have shared the trial that /readyz began
    assert (await client.get("/readyz")).status_code == 200


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"arguments": {}}),
        ("tools/call", {"name": None, "arguments": {"name": "x"}}),
        ("tools/call", {"name": 7}),
        ("tools/call", None),
        ("resources/read", {}),
    ],
)
async def test_a_call_that_names_nothing_is_400_and_invalid_parameters(
    connect: Connect, method: str, params: dict[str, Any] | None
) -> None:
    client = await connect()
    message = {"jsonrpc": "2.0", "id": 5, "method": method} | ({} if params is None else {"params": params})
    answer = await client.post("/mcp", json=message)
    assert answer.status_code == 400
    assert answer.json()["id"] == 5
    assert answer.json()["error"]["code"] == -32602
    assert method in answer.json()["error"]["message"]
