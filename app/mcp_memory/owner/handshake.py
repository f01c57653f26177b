"""What client and owner say to each other before any work: who is there, will it do, and if not, please go."""

from __future__ import annotations

import asyncio
import json
import os
from enum import StrEnum

from mcp_memory import __version__
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.owner.connection import ConnectionLostError, ConnectionPool
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.record import PROTOCOL, OwnerKind, OwnerRecord, parse_record, version_tuple

TOKEN_HEADER = "X-Owner-Token"  # noqa: S105 - the header's name
HANDSHAKE_SECONDS = 10.0


class Verdict(StrEnum):
    USE = "use"
    REPLACE = "replace"
    """An older background owner: should hand over to one of ours, which the clients of both can use."""
    REPLACE_IF_FREE = "replace_if_free"
    """A background owner with other settings: should hand over unless clients with those settings work with it."""


def pool_to(record: OwnerRecord) -> ConnectionPool:
    """Connections to this owner, with its token where it asks for one."""
    return ConnectionPool(record.address, headers={TOKEN_HEADER: record.token} if record.token else None)


async def shake_hands(pool: ConnectionPool) -> OwnerRecord:
    """Ask the owner who it is. Raises ConnectionLostError where it doesn't answer, or not as an owner."""
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            response = await pool.request("GET", "/internal/owner")
        if not response.ok:
            raise ConnectionLostError(f"the owner answered {response.status} to the handshake")
        return parse_record(response.json())
    except TimeoutError:
        raise ConnectionLostError("the owner doesn't answer") from None
    except ValueError as error:
        raise ConnectionLostError(f"not an owner of a memory store: {error}") from error


def judge(owner: OwnerRecord, store: StoreIdentity, version: str) -> Verdict:
    """Whether this owner will do for a client of this version with these settings.

    Raises ConfigurationError where it won't and is not to be replaced: somebody's server, or a later version than ours.
    """
    older = version_tuple(owner.version) < version_tuple(version)
    other = owner.fingerprint != store.fingerprint
    if owner.kind is OwnerKind.BACKGROUND and owner.protocol <= PROTOCOL:
        if other:
            return Verdict.REPLACE_IF_FREE
        return Verdict.REPLACE if older or owner.protocol < PROTOCOL else Verdict.USE
    if owner.protocol != PROTOCOL:
        raise ConfigurationError(
            f"The process that serves {store.folder} ({owner.kind}, process {owner.pid}) is version {owner.version}, this is "
            f"{version}, and they can't work together: start the older one of the two again with the newer version."
        )
    if other:
        models = f"its embedding model is {owner.model}, yours {store.model}"
        raise ConfigurationError(
            f"A memory server (process {owner.pid}) serves {store.folder} with other settings than yours: "
            f"{models if owner.model != store.model else 'those of storage or embedding differ'}.\n"
            f"Give this command the server's settings, or end the server first:  kill {owner.pid}"
        )
    return Verdict.USE


async def ask_to_hand_over(pool: ConnectionPool, *, reason: str, takes_over: bool) -> bool:
    """Ask a background owner to finish its work and end. True: it is going; wait for its lock. False: it is gone.

    `takes_over`: it goes although other clients work with it. Raises ConfigurationError with its own words where it refuses.
    """
    wish = {"reason": reason, "version": __version__, "pid": os.getpid(), "takes_over": takes_over}
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            response = await pool.request(
                "POST",
                "/internal/handover",
                headers={"Content-Type": "application/json"},
                body=json.dumps(wish).encode(),
            )
    except (ConnectionLostError, TimeoutError):
        return False
    if response.status == 409:
        raise ConfigurationError(_message(response.body))
    return response.ok


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")[:500]
