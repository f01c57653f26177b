"""Keeping a collection's parameters in step with its size and settings, while it serves.

Qdrant rebuilds what a change asks for in the background and searches the old index until the new one is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mcp_memory.domain.errors import StorageError
from mcp_memory.domain.query import EVERYTHING
from mcp_memory.storage.qdrant_server import schema, tuning
from mcp_memory.storage.qdrant_server.effort import describe, measured_effort
from mcp_memory.storage.qdrant_server.lifecycle import OpenCollection
from mcp_memory.storage.qdrant_server.reads import Reads
from mcp_memory.storage.qdrant_server.statistics import is_waiting
from mcp_memory.storage.qdrant_server.terms import bring_up_to_date

if TYPE_CHECKING:
    from qdrant_client.models import CollectionInfo

log = logging.getLogger(__name__)

CHECK_EVERY: Final = 1_000
"""Writes of this process between two looks at the collection's size."""
MEASURED: Final = "oversampling_measured"
"""In the collection's metadata: for which kind of quantization and how many memories recall was measured."""
KIND: Final = "kind"
UNQUANTIZED: Final = "none"
MEASURE_FROM: Final = 1_000
GROWTH: Final = 1.5
"""Recall is measured again when the collection has this many times the memories that it had then, or that part of them."""
OPTIMIZE_SECONDS: Final = 4 * 3600.0
_PAUSE: Final = 1.0


class Upkeep:
    """Applies what size and settings ask for; one task of this process at a time."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads
        self._connection = reads.connection
        self._options = reads.options
        self._unchecked = 0
        self._task: asyncio.Task[None] | None = None
        self._collection: OpenCollection | None = None
        self._renew: Callable[[OpenCollection], None] | None = None

    def watch(self, collection: OpenCollection, renew: Callable[[OpenCollection], None]) -> None:
        """From here on for this collection; `renew` is told when it is to be searched differently."""
        self._collection, self._renew = collection, renew
        self._begin()

    def written(self, memories: int) -> None:
        """Count writes, and look at the size in the background when there were many."""
        self._unchecked += memories
        if self._unchecked >= CHECK_EVERY:
            self._begin()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            self._unchecked = 0
            self._task = asyncio.create_task(self._look())

    async def looked(self) -> None:
        """Returns when nothing is looked at in the background any more."""
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _look(self) -> None:
        if self._collection is None:
            return
        try:
            await self._retune(self._collection)
            await self._follow()
            await bring_up_to_date(self._reads, (await self._info()).config.metadata or {})
        except StorageError as error:
            log.warning("the size of collection '%s' could not be looked at: %s", self._options.alias, error.message)

    async def _retune(self, collection: OpenCollection) -> bool:
        """Ask for the graph that the collection's size deserves; whether that is a change. Tiers only grow."""
        m = tuning.hnsw_m(await self._reads.count(EVERYTHING))
        if m <= collection.m:
            return False
        parameters = schema.parameters(self._options, shards=collection.shards)
        hnsw = parameters["hnsw_config"].model_copy(update={"m": m})
        await self._change("setting the graph's parameters", hnsw_config=hnsw)
        log.info("collection '%s' has outgrown m=%d: its graph is built with m=%d", collection.name, collection.m, m)
        self._set(replace(collection, m=m))
        return True

    async def _follow(self) -> None:
        """Search with the effort that the collection keeps, measured anew where its size or kind is another one since."""
        collection = self._collection
        if collection is None:
            return
        metadata = (await self._info()).config.metadata or {}
        measured = metadata.get(MEASURED) or {}
        same = KIND in measured and measured[KIND] == (collection.quantization or UNQUANTIZED)
        known = int(measured.get("memories", 0)) if same else 0
        memories = await self._reads.count(EVERYTHING)
        if memories >= MEASURE_FROM and not known / GROWTH < memories < GROWTH * known:
            await self._until_green()
            await self._measure(self._collection or collection)
        elif same:  # another process may have measured
            self._set(
                replace(
                    collection,
                    oversampling=max(schema.OVERSAMPLING, float(metadata.get("oversampling") or 0.0)),
                    ef=max(tuning.SEARCH_EF, int(metadata.get("ef") or 0)),
                    exact=bool(metadata.get("exact")),
                )
            )

    async def optimize(self, collection: OpenCollection) -> tuple[bool, str]:
        """Retune, wait until Qdrant has indexed what is due, and measure the effort that recall asks for."""
        counted = await bring_up_to_date(self._reads, (await self._info()).config.metadata or {})
        changed = await self._retune(collection)
        collection = self._collection or collection
        waited = await self._until_green()
        message = "Indexes are up to date." if waited else "Nothing was waiting to be indexed."
        if changed:
            message = f"The graph was built again with m={collection.m}."
        if counted:
            message += f" Keyword search finds more words in {counted:,} memories."
        effort, recall = await self._measure(collection)
        message += f" Recall@10 {recall:.3f} with {describe(effort)}."
        return changed or waited or counted > 0 or effort != collection, message

    async def apply_quantization(self, collection: OpenCollection) -> OpenCollection:
        """What the settings say about quantization, applied to what is stored."""
        wanted = self._options.quantization_kind if self._options.quantization else None
        if wanted == collection.quantization:
            return collection
        return await self._switch(collection, wanted)

    async def quantize(self, collection: OpenCollection, kind: str | None) -> OpenCollection:
        """Switch, wait until it is done, and measure the effort that recall asks for."""
        collection = await self._switch(collection, kind)
        self._set(collection)
        await self._until_green()
        await self._measure(collection)
        return self._collection or collection

    async def _switch(self, collection: OpenCollection, kind: str | None) -> OpenCollection:
        from qdrant_client import models  # noqa: PLC0415

        memory = models.Memory.CACHED if kind is None else models.Memory.COLD
        config: Any = models.Disabled.DISABLED if kind is None else schema.quantization(kind)
        await self._change(
            "setting quantization",
            quantization_config=config,
            vectors_config={self._options.model.vector_name: models.VectorParamsDiff(memory=memory)},
        )
        log.info("collection '%s': quantization %s, was %s", collection.name, kind, collection.quantization)
        return replace(collection, quantization=kind)

    async def _measure(self, collection: OpenCollection) -> tuple[OpenCollection, float]:
        """Measure the effort that recall asks for, and keep it with the collection."""
        memories = await self._reads.count(EVERYTHING)
        effort, recall = await measured_effort(self._reads, collection)
        await self._change(
            "keeping the effort of searches",
            metadata={
                "oversampling": effort.oversampling,
                "ef": effort.ef,
                "exact": effort.exact,
                MEASURED: {KIND: effort.quantization or UNQUANTIZED, "memories": memories},
            },
        )
        if effort != collection:
            log.info("collection '%s': %s, was %s", collection.name, describe(effort), describe(collection))
            self._set(effort)
        return effort, recall

    def _set(self, collection: OpenCollection) -> None:
        self._collection = collection
        if self._renew is not None:
            self._renew(collection)

    async def _change(self, what: str, **parameters: Any) -> None:
        await self._connection.run(
            lambda client: client.update_collection(self._options.alias, **parameters),
            f"{what} of '{self._options.alias}'",
        )

    async def _info(self) -> CollectionInfo:
        return await self._connection.run(
            lambda client: client.get_collection(self._options.alias), "the collection's state"
        )

    async def _until_green(self) -> bool:
        """Wait for the optimizer; whether there was anything to wait for. Qdrant tells only when asked.

        Raises StorageError where it has failed, or takes longer than OPTIMIZE_SECONDS.
        """
        from qdrant_client import models  # noqa: PLC0415

        waited = False
        deadline = time.monotonic() + OPTIMIZE_SECONDS
        while is_waiting(info := await self._info()):
            if info.status is models.CollectionStatus.RED or time.monotonic() > deadline:
                raise StorageError(
                    f"Qdrant did not finish indexing '{self._options.alias}': {info.optimizer_status}. See the server's log."
                )
            if info.status is models.CollectionStatus.GREY:  # work that was due before a restart begins at a change
                await self._change("starting the optimizer", optimizers_config=models.OptimizersConfigDiff())
            waited = True
            await asyncio.sleep(_PAUSE)
        return waited
