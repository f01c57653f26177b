"""What makes a JSON-RPC message: what is none is refused in words, over HTTP and stdio alike. Plain Python."""

from __future__ import annotations

PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
_IDS = range(-(2**63), 2**63)


def why_invalid(message: object) -> str | None:
    """Why this parsed JSON is no message that can be answered; None where it is one.

    The id is a text or a whole number: JSON's other numbers (1e400, NaN) could not be given back.
    """
    if not isinstance(message, dict):
        return "Invalid Request: a message is one JSON object."
    if message.get("jsonrpc") != "2.0":
        return 'Invalid Request: a message says "jsonrpc": "2.0".'
    if "method" not in message:
        answers = "result" in message or "error" in message
        return None if answers else "Invalid Request: a message has a method, or it is a response."
    if not isinstance(message["method"], str):
        return "Invalid Request: the method is a text."
    if "id" in message and not _is_id(message["id"]):
        return "Invalid Request: the id is a text or a whole number of at most 64 bits; without an id it is a notification."
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and value in _IDS)
