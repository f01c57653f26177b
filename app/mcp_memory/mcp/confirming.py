"""Asking a person before many memories are deleted, where the host can (MCP's elicitation). Others are told to name the count.

In plain Python: the stdio bridge asks with it, and loads no SDK. Clients of 2026-07-28 are asked by the server's answer
(`input_required`), which keeps no session; those of older versions by the bridge. Older ones over HTTP can't be: the server
has no way back to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

KEY: Final = "confirm"
"""Of the question among a server's questions."""
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"delete": {"type": "boolean", "title": "Delete them for good", "default": False}},
    "required": ["delete"],
}


def can_ask(capabilities: object) -> bool:
    """Whether a client with these capabilities shows forms. `elicitation: {}` is what those say that know nothing else."""
    if not isinstance(capabilities, Mapping):
        return False
    elicitation = capabilities.get("elicitation")
    return isinstance(elicitation, Mapping) and (not elicitation or elicitation.get("form") is not None)


def question(count: int, first: Sequence[str]) -> str:
    """What a person reads; `first` are the first words of some of the memories."""
    more = [f"... and {count - len(first):,} more"] if count > len(first) else []
    return "\n".join([f"Delete {count:,} memories for good?", *first, *more])


def agreed(action: object, content: object) -> bool:
    return action == "accept" and isinstance(content, Mapping) and content.get("delete") is True


def declined(count: int) -> str:
    return f"Nothing was deleted: the person who was asked about these {count:,} memories didn't agree."


def declined_object(count: int) -> dict[str, Any]:
    """As the structured answer of memory_delete."""
    return {"message": declined(count), "deleted_count": 0, "deleted_hashes": [], "dry_run": False}
