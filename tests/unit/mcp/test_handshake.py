"""The stdio bridge's own answers need no SDK, and agree with the SDK."""

from __future__ import annotations

import subprocess
import sys

import pytest
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from mcp_memory.mcp import handshake


def test_the_handshake_loads_nothing_heavy() -> None:
    heavy = "'mcp', 'mcp_types', 'pydantic', 'starlette', 'httpx', 'numpy', 'asyncio'"
    code = f"import sys; import mcp_memory.mcp.handshake; print(*{{{heavy}}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_it_settles_on_the_versions_that_the_sdk_serves() -> None:
    assert handshake.HANDSHAKE_VERSIONS == HANDSHAKE_PROTOCOL_VERSIONS
    assert [handshake.negotiated_version(version) for version in HANDSHAKE_PROTOCOL_VERSIONS] == list(
        HANDSHAKE_PROTOCOL_VERSIONS
    )
    assert handshake.negotiated_version("2026-07-28") == handshake.negotiated_version(None) == "2025-11-25"


def test_callers_can_change_an_answer_without_changing_the_next() -> None:
    answer = handshake.initialize_result("2025-06-18")
    answer["capabilities"]["tools"]["listChanged"] = True
    assert handshake.initialize_result("2025-06-18")["capabilities"]["tools"]["listChanged"] is False


def test_messages_of_a_session_travel_with_its_version() -> None:
    headers = handshake.http_headers({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, "2025-06-18")
    assert headers["mcp-protocol-version"] == "2025-06-18"
    assert "mcp-method" not in headers
    assert "mcp-protocol-version" not in handshake.http_headers({"method": "tools/list"})


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "memory_search"}),
        ("tools/call", {"name": " Grüße =?base64?eA==?= "}),
        ("tools/call", {"name": "=?base64?eA==?="}),
        ("resources/read", {"uri": "memory://recent/5"}),
        ("tools/list", {}),
        ("server/discover", {}),
    ],
)
def test_messages_without_a_session_pass_the_checks_of_the_sdk(method: str, params: dict[str, object]) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    headers = handshake.http_headers(message, "2025-06-18")
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert isinstance(classify_inbound_request(message, headers=headers), InboundModernRoute)


@pytest.mark.parametrize(
    "params", [None, [], "x", {"_meta": None}, {"_meta": {"io.modelcontextprotocol/protocolVersion": 7}}]
)
def test_odd_messages_get_plain_headers(params: object) -> None:
    assert set(handshake.http_headers({"method": 5, "params": params})) == {"content-type", "accept"}
