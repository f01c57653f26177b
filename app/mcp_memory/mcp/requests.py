"""Requests as clients really send them: an `initialize` without parameters that the SDK insists on and this server never reads,
what is no JSON-RPC message, and a call that names nothing to call, which is refused with 400 as in the original."""

from __future__ import annotations

import json
from typing import Any

from mcp_types import INVALID_PARAMS
from starlette.types import Message, Receive

from mcp_memory.mcp.handshake import NAMED_BY, negotiated_version
from mcp_memory.mcp.message import INVALID_REQUEST, PARSE_ERROR, why_invalid

_UNREAD = {"capabilities": {}, "clientInfo": {"name": "unnamed", "version": "0"}}
"""What a server without sessions has no use for."""


class RefusedError(Exception):
    """A request that nothing can be done with; `answer` is the JSON-RPC error for it."""

    def __init__(self, code: int, message: str, id_: object = None) -> None:
        super().__init__(message)
        self.answer = {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": message}}


async def completed(receive: Receive) -> Receive:
    """The same request, with all its parameters where it is an `initialize`. The body is read here, to its end.

    Raises RefusedError.
    """
    messages: list[Message] = []
    while not messages or (messages[-1]["type"] == "http.request" and messages[-1].get("more_body")):
        messages.append(await receive())
    if messages[-1]["type"] == "http.request":
        body = with_parameters(b"".join(message.get("body", b"") for message in messages))
        messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again


def with_parameters(body: bytes) -> bytes:
    """The body itself, unless it is an `initialize`. Raises RefusedError."""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(PARSE_ERROR, f"Parse error: {error}") from error
    if (why := why_invalid(message)) is not None:
        hint = " Send the messages of a batch one by one." if isinstance(message, list) else ""
        raise RefusedError(INVALID_REQUEST, why + hint)
    _refuse_nameless(message)
    if message.get("method") != "initialize":
        return body
    given = message.get("params") or {}
    if not isinstance(given, dict):
        return body
    version = negotiated_version(given.get("protocolVersion"))
    return json.dumps({**message, "params": {**_UNREAD, "protocolVersion": version}}).encode()


def _refuse_nameless(message: dict[str, Any]) -> None:
    """For a request that says neither which tool nor which resource it means."""
    target = NAMED_BY.get(message.get("method", ""))
    params = message.get("params")
    if target is None or (isinstance(params, dict) and isinstance(params.get(target), str)):
        return
    raise RefusedError(
        INVALID_PARAMS, f"{message['method']} needs a {target}: a text in params.{target}.", message.get("id")
    )
