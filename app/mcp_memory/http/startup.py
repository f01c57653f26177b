"""How a start fails: in words, with an exit code that says whether trying again helps, and no traceback for a mistake."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_memory.domain.errors import (
    ConfigurationError,
    DimensionMismatchError,
    MemoryServiceError,
    ModelChangedError,
    StorageError,
    StorageFormatError,
)
from mcp_memory.loggers import structlog
from mcp_memory.native import unloadable

EX_CONFIG = 78
"""sysexits.h: the settings don't fit; starting again won't help."""
EX_UNAVAILABLE = 69

log = structlog.stdlib.get_logger("mcp_memory.http")


def exit_code(error: MemoryServiceError) -> int:
    needs_a_person = (ConfigurationError, ModelChangedError, DimensionMismatchError, StorageFormatError)
    return EX_CONFIG if isinstance(error, needs_a_person) else EX_UNAVAILABLE


def words(error: MemoryServiceError) -> str:
    """As the user guide prints it: `StorageError: ...` for all kinds of it."""
    return f"StorageError: {error.message}" if isinstance(error, StorageError) else error.message


def failing(error: ImportError) -> ASGIApp:
    """An application whose start raises the error: for one that couldn't even be imported."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        raise error

    return app


class PlainStartup:
    """Passes everything on; a MemoryServiceError at start-up is logged as words, not as a traceback, and reported."""

    def __init__(self, app: ASGIApp, *, on_failure: Callable[[int], None]) -> None:
        self.app = app
        self._on_failure = on_failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        failed: Message | None = None

        async def holding(message: Message) -> None:
            nonlocal failed
            if message["type"] == "lifespan.startup.failed":
                failed = message
            else:
                await send(message)

        try:
            await self.app(scope, receive, holding)
        except MemoryServiceError as error:
            log.critical(words(error))
            self._on_failure(exit_code(error))
            await send({"type": "lifespan.startup.failed", "message": ""})
        except ImportError as error:
            problem = unloadable(error)
            if problem is None:
                if failed is not None:
                    await send(failed)
                raise
            log.critical(problem.message)
            self._on_failure(EX_CONFIG)
            await send({"type": "lifespan.startup.failed", "message": ""})
        except BaseException:
            if failed is not None:
                await send(failed)
            raise
