"""Why a migration doesn't begin, or stops before its end."""

from __future__ import annotations

from mcp_memory.domain.errors import InvalidInputError, MemoryServiceError


class MigrationRefusedError(InvalidInputError):
    """What was asked for would lose or mix something; nothing was changed. The message names the choices."""

    code = "migration_refused"


class MigrationFailedError(MemoryServiceError):
    """It could not be brought to its end; what was there before goes on, and the message tells how to try again."""

    code = "migration_failed"


class MigrationStoppedError(MemoryServiceError):
    """Stopped on request after a batch; what is done is durable and recorded, and can be resumed."""

    code = "migration_stopped"
