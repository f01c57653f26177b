"""A service as small as can be, served by the real background owner: items appended to a file, each on disk before its answer.

Run as a program: `python small_service.py FOLDER IDLE_SECONDS FINGERPRINT VERSION SECONDS_PER_ITEM`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response

from mcp_memory.cli.background import run_background_owner
from mcp_memory.domain.agents import from_header
from mcp_memory.domain.errors import MemoryServiceError, ModelChangedError
from mcp_memory.owner import ownership, record
from mcp_memory.owner.api import router
from mcp_memory.owner.gate import OwnerGate, OwnerState
from mcp_memory.owner.identity import StoreIdentity
from mcp_memory.owner.starter import start_background_owner


def store_at(folder: Path, *, idle: float = 60.0, fingerprint: str = "f", model: str = "model-a") -> StoreIdentity:
    return StoreIdentity(
        folder=folder, model=model, fingerprint=fingerprint, exclusive=True, idle_seconds=idle, environment=()
    )


def starter(*, version: str | None = None, seconds_per_item: float = 0.0):
    """A `start` for OwnerClient that brings up this program."""

    async def start(store: StoreIdentity, seconds: float) -> None:
        arguments = [
            str(store.folder),
            str(store.idle_seconds),
            store.fingerprint,
            version or "",
            str(seconds_per_item),
        ]
        command = (sys.executable, __file__, *arguments)
        await start_background_owner(store, deadline_seconds=seconds, command=command)

    return start


async def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


class Storage:
    """Appends lines; its file can be closed for maintenance."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "items.txt"
        self._file = self._path.open("ab")
        self.open = True

    def add(self, item: bytes) -> None:
        self._file.write(item + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    async def suspend(self) -> None:
        self._file.close()
        self.open = False

    async def resume(self) -> None:
        self._file = self._path.open("ab")
        self.open = True


def make_app(folder: Path, seconds_per_item: float, state: OwnerState) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if (folder / "wrong-model").exists():
            raise ModelChangedError(old_model="a", new_model="b", old_dimensions=3, new_dimensions=4)
        app.state.container = Storage(folder)
        with (folder / "starts.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")
        yield
        (folder / "ended-in-order").touch()

    app = FastAPI(lifespan=lifespan)
    app.state.owner = state
    app.include_router(router)
    app.add_middleware(OwnerGate, state=state)

    @app.post("/items")
    async def add(request: Request) -> dict[str, int]:
        await asyncio.sleep(seconds_per_item)
        request.app.state.container.add(await request.body())
        return {"pid": os.getpid()}

    @app.post("/die")
    async def die() -> None:
        os._exit(9)

    @app.post("/mcp")
    async def mcp(request: Request) -> Response:
        message = await request.json()
        params = message.get("params") or {}
        await asyncio.sleep(params.get("seconds", 0))
        if "status" in params:
            body = {"detail": "no", "error": {"code": "storage_busy", "message": "under maintenance"}}
            return Response(str(body).replace("'", '"'), params["status"], media_type="application/json")
        result = {"method": message["method"], "version": request.headers.get("mcp-protocol-version")}
        if agent := from_header(request.headers.get("x-agent-id")):
            result["agent"] = agent
        text = str({"jsonrpc": "2.0", "id": message["id"], "result": result}).replace("'", '"').replace("None", "null")
        if params.get("stream"):
            note = '{"jsonrpc":"2.0","method":"notifications/message","params":{}}'
            stream = f"event: message\r\ndata: {note}\r\n\r\nevent: message\r\ndata: {text}\r\n\r\n"
            return Response(stream, media_type="text/event-stream")
        return Response(text, media_type="application/json")

    return app


def main() -> None:
    folder, idle, fingerprint, version, seconds = sys.argv[1:]
    if version:
        ownership.__version__ = version  # an owner of another release
        assert record.PROTOCOL == 1
    store = store_at(Path(folder), idle=float(idle), fingerprint=fingerprint)
    try:
        run_background_owner(store, lambda state: make_app(store.folder, float(seconds), state), graceful_seconds=5)
    except MemoryServiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
