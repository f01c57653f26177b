"""`initialize` as clients really send it: with parameters missing that the SDK insists on and this server never reads."""

from __future__ import annotations

import json
from typing import Any

from starlette.types import Message, Receive

from mcp_memory.mcp.handshake import negotiated_version

_NAME = b'"initialize"'
_UNREAD = {"capabilities": {}, "clientInfo": {"name": "unnamed", "version": "0"}}
"""What a server without sessions has no use for."""


async def completed(receive: Receive) -> Receive:
    """The same request, with all its parameters where it is an `initialize`. The body is read here, to its end."""
    messages: list[Message] = []
    while not messages or (messages[-1]["type"] == "http.request" and messages[-1].get("more_body")):
        messages.append(await receive())
    if messages[-1]["type"] == "http.request":
        body = b"".join(message.get("body", b"") for message in messages)
        messages = [{"type": "http.request", "body": with_parameters(body), "more_body": False}]

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


def with_parameters(body: bytes) -> bytes:
    """The body itself, unless it is an `initialize`; what is no JSON or no message is the SDK's to refuse."""
    if _NAME not in body:
        return body
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if not isinstance(message, dict) or message.get("method") != "initialize":
        return body
    given = message.get("params") or {}
    if not isinstance(given, dict):
        return body
    version = negotiated_version(given.get("protocolVersion"))
    return json.dumps({**message, "params": {**_UNREAD, "protocolVersion": version}}).encode()
