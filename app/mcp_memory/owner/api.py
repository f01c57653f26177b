"""/internal: what clients on this machine ask of the owner itself. Reachable over its local socket only."""

from __future__ import annotations

import os
import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from mcp_memory.owner.gate import OwnerState
from mcp_memory.owner.maintenance import LONGEST_SECONDS, Lease
from mcp_memory.owner.paths import OwnerPaths
from mcp_memory.owner.record import read_record


def local_only(request: Request) -> None:
    """404 unless the connection itself is the owner's local socket: no header can change that."""
    server = request.scope.get("server")
    if server is None or server[1] is not None:
        raise HTTPException(404, "Not Found")


def owner_state(request: Request) -> OwnerState:
    state = getattr(request.app.state, "owner", None)
    if not isinstance(state, OwnerState):
        raise HTTPException(404, "This process owns no store.")
    return state


State = Annotated[OwnerState, Depends(owner_state)]
router = APIRouter(prefix="/internal", include_in_schema=False, dependencies=[Depends(local_only)])


class Handover(BaseModel):
    """Who asks a background owner to go, and why."""

    model_config = ConfigDict(extra="ignore")

    reason: str = Field(max_length=500)
    version: str = ""
    pid: int = 0
    takes_over: bool = False
    """A server or a maintenance command wants the folder: goes before the wishes of other clients."""


class ExclusiveUse(BaseModel):
    """Asks for the folder, or renews a lease by its token."""

    model_config = ConfigDict(extra="ignore")

    holder: str = Field(max_length=200)
    reason: str = Field(max_length=500)
    seconds: float = Field(30.0, gt=0, le=LONGEST_SECONDS)
    token: str | None = None


class EndOfUse(BaseModel):
    token: str


@router.get("/owner")
def owner(state: State) -> dict[str, Any]:
    """The record, and how busy the owner is."""
    record = read_record(OwnerPaths(state.lease.folder).record)
    if record is None:
        raise HTTPException(503, "The owner hasn't written its record yet.")
    lease = state.lease.current()
    return record.public() | {
        "clients": state.clients,
        "in_work": state.in_work,
        "maintenance": {"holder": lease.holder, "reason": lease.reason} if lease else None,
    }


@router.post("/handover", status_code=202)
def handover(wish: Handover, state: State) -> Response:
    """Drain, close the storage, release the folder, end. 409 where this owner is somebody's server, or others work with it."""
    if state.stop is None:
        return _error(409, "owner_stays", f"Process {os.getpid()} is a memory server: only its user ends it.")
    others = state.clients - 1
    if not wish.takes_over and others > 0:
        return _error(
            409,
            "owner_in_use",
            f"The memory store is served by a background process ({os.getpid()}) whose settings or version differ from yours "
            f"({wish.reason}), and {others} other client(s) work with it.\n"
            "End those programs first, or give them all the same settings.",
        )
    state.stop()
    return JSONResponse({"pid": os.getpid()}, status_code=202)


@router.post("/exclusive")
async def take(wish: ExclusiveUse, state: State) -> Response:
    """Give or renew a lease. When this answers 200, the storage is closed. 409 while another one has it."""
    current = state.lease.current()
    if current is not None and not secrets.compare_digest((wish.token or "").encode(), current.token.encode()):
        return _error(409, "storage_busy", current.busy().message)
    if wish.token is not None and current is None:
        return _error(
            410, "lease_ended", "The maintenance lease wasn't renewed in time, and clients work with the store again."
        )
    lease = Lease(
        token=current.token if current else secrets.token_urlsafe(24),
        holder=wish.holder,
        reason=wish.reason,
        until=time.time() + wish.seconds,
    )
    state.lease.write(lease)
    try:
        await state.keep_to_lease()
    except BaseException:
        state.lease.clear()
        raise
    return JSONResponse({"token": lease.token, "seconds": wish.seconds})


@router.delete("/exclusive")
async def give_back(end: EndOfUse, state: State) -> Response:
    """End a lease; the storage is open again when this answers 200. A lease that ended before is no mistake."""
    current = state.lease.current()
    if current is not None:
        if not secrets.compare_digest(end.token.encode(), current.token.encode()):
            return _error(409, "storage_busy", current.busy().message)
        state.lease.clear()
    await state.keep_to_lease()
    return JSONResponse({"released": current is not None})


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}, "detail": message}, status_code=status)
