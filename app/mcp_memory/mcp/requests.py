"""Requests as clients really send them: an `initialize` without parameters that the SDK insists on and this server never reads,
and a call that names nothing to call, which is refused with 400 as in the original."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import INVALID_PARAMS
from starlette.types import Message, Receive

from mcp_memory.mcp.handshake import NAMED_BY, negotiated_version

_NAME = b'"initialize"'
_UNREAD = {"capabilities": {}, "clientInfo": {"name": "unnamed", "version": "0"}}
"""What a server without sessions has no use for."""


async def completed(receive: Receive) -> tuple[Receive, bytes]:
    """The same request, with all its parameters where it is an `initialize`, and its body, which is read here to its end."""
    body = b""
    messages: list[Message] = []
    while not messages or (messages[-1]["type"] == "http.request" and messages[-1].get("more_body")):
        messages.append(await receive())
    if messages[-1]["type"] == "http.request":
        body = with_parameters(b"".join(message.get("body", b"") for message in messages))
        messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again, body


def nameless(body: bytes) -> dict[str, Any] | None:
    """The error for a request that says neither which tool nor which resource it means; None for every other."""
    if not any(f'"{method}"'.encode() in body for method in NAMED_BY):
        return None
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or (target := NAMED_BY.get(str(message.get("method")))) is None:
        return None
    params = message.get("params")
    if isinstance(params, dict) and isinstance(params.get(target), str):
        return None
    error = {"code": INVALID_PARAMS, "message": f"{message['method']} needs a {target}: a text in params.{target}."}
    return {"jsonrpc": "2.0", "id": message.get("id"), "error": error}


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
