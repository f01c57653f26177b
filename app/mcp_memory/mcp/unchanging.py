"""What is answered the same whatever is remembered. The stdio bridge gives it while its owner starts and loads a model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from mcp_memory.mcp.handshake import (
    HANDSHAKE_VERSIONS,
    REQUEST_VERSIONS,
    complete,
    discovery,
    initialize_result,
    own_version,
)

JsonObject: TypeAlias = dict[str, Any]

LISTS = frozenset({"tools/list", "resources/list", "resources/templates/list"})
CONSTANT = LISTS | {"prompts/list", "server/discover"}
"""Methods whose answer follows from the settings and the protocol version alone."""
METHOD_NOT_FOUND, UNSUPPORTED_VERSION = -32601, -32022


class Unchanging:
    """The answers of one MCP session. `lists` gives the results of LISTS."""

    def __init__(self, lists: Callable[[], Awaitable[JsonObject]]) -> None:
        self._lists = lists
        self.version: str | None = None
        """What the client's `initialize` settled on."""

    async def answer(self, method: str, params: object) -> JsonObject | None:
        """`result` or `error`; None for what is the owner's to answer."""
        if method == "initialize":
            result = initialize_result(params.get("protocolVersion") if isinstance(params, dict) else None)
            self.version = str(result["protocolVersion"])
            return {"result": result}
        if method == "ping":
            return {"result": {}}
        if method not in CONSTANT or (isinstance(params, dict) and set(params) - {"_meta"}):
            return None
        version = own_version(params)
        return await self._in_session(method) if version is None else await self._for_version(method, version)

    async def _in_session(self, method: str) -> JsonObject | None:
        if self.version is None:
            return None
        if method in LISTS:
            return {"result": (await self._lists())[method]}
        return {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found", "data": method}}

    async def _for_version(self, method: str, version: str) -> JsonObject | None:
        if version in HANDSHAKE_VERSIONS:
            return None
        if version not in REQUEST_VERSIONS:
            data = {"supported": list(REQUEST_VERSIONS), "requested": version}
            return {"error": {"code": UNSUPPORTED_VERSION, "message": "Unsupported protocol version", "data": data}}
        if method == "server/discover":
            return {"result": discovery()}
        if method in LISTS:
            return {"result": complete((await self._lists())[method])}
        return {"error": {"code": METHOD_NOT_FOUND, "message": "Method not found", "data": method}}
