"""The embedded storage alone: bulk load, search by mode and filter with recall, many clients, freezes, graph, open and close.

usage: python -m benchmarks.storage_embedded [N] [--graph] [--binary] [--folder DIR]

A freeze is the longest answer to a request that costs nothing (one newest memory), sent every 5 ms while something else is done.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.embedded_corpus import EmbeddedCorpus, load
from mcp_memory.domain.memory import EmbeddedMemory, Memory
from mcp_memory.domain.query import EVERYTHING, FacetField, MemoryFilter, SearchMode, SearchQuery, TagMatch
from mcp_memory.storage.qdrant_embedded.backend import QdrantEmbeddedStorage
from mcp_memory.storage.qdrant_embedded.options import EmbeddedOptions

QUERIES = 300
CLIENTS = 8
LIMIT = 10


@dataclass
class Latencies:
    """Milliseconds."""

    values: list[float] = field(default_factory=list)

    def add(self, started: float) -> None:
        self.values.append((time.perf_counter() - started) * 1e3)

    def __str__(self) -> str:
        if not self.values:
            return "nothing measured"
        ordered = sorted(self.values)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        return f"p50 {statistics.median(ordered):6.1f}  p99 {p99:6.1f}  max {ordered[-1]:6.1f} ms"


@contextmanager
def timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what:34} {time.perf_counter() - started:8.2f} s", flush=True)


@asynccontextmanager
async def watched(storage: QdrantEmbeddedStorage, what: str) -> AsyncIterator[None]:
    """Print how long the cheapest request took meanwhile."""
    seen = Latencies()
    done = asyncio.Event()

    async def look() -> None:
        while not done.is_set():
            started = time.perf_counter()
            await storage.health()
            seen.add(started)
            await asyncio.sleep(0.005)

    looking = asyncio.create_task(look())
    yield
    done.set()
    await looking
    print(f"{'  meanwhile, the cheapest request:':34} {seen}   ({what})", flush=True)


async def measure(what: str, count: int, act: Callable[[int], Awaitable[object]]) -> None:
    seen = Latencies()
    for number in range(count):
        started = time.perf_counter()
        await act(number)
        seen.add(started)
    print(f"{what:34} {seen}", flush=True)


async def search_figures(storage: QdrantEmbeddedStorage, queries: list[EmbeddedMemory]) -> None:
    middle = queries[0].memory.created_at - 200 * 86_400.0
    filters = {
        "no filter": EVERYTHING,
        "store": MemoryFilter(store="default"),
        "tag (common)": MemoryFilter(tags=("docstring",)),
        "2 tags any (rare)": MemoryFilter(tags=("json", "email")),
        "2 tags all": MemoryFilter(tags=("docstring", "asyncio"), tag_match=TagMatch.ALL),
        "2 months": MemoryFilter(created_from=middle, created_to=middle + 60 * 86_400.0),
        "tag and 7 months": MemoryFilter(tags=("docstring",), created_from=middle),
    }
    for name, where in filters.items():
        seen, exact, shares = Latencies(), Latencies(), []
        for item in queries[:100]:
            started = time.perf_counter()
            hits = await storage.search(SearchQuery(SearchMode.SEMANTIC, None, item.vector, where, LIMIT))
            seen.add(started)
            started = time.perf_counter()
            best = await storage.search(
                SearchQuery(SearchMode.SEMANTIC, None, item.vector, where, LIMIT, exact_scan=True)
            )
            exact.add(started)
            true = {hit.memory.id for hit in best}
            shares.append(len(true & {hit.memory.id for hit in hits}) / max(1, len(true)))
        print(
            f"{'semantic, ' + name:34} {seen}  recall@10 {np.mean(shares):.4f}  (exact p50 {statistics.median(exact.values):.1f})"
        )
    texts = [" ".join(item.memory.content.split()[2:9]) for item in queries]
    for mode in (SearchMode.HYBRID, SearchMode.KEYWORD):
        await measure(
            f"{mode}",
            len(queries),
            lambda n, mode=mode: storage.search(SearchQuery(mode, texts[n], queries[n].vector, limit=LIMIT)),  # type: ignore[misc]
        )
    await measure(
        "exact, two words", 20, lambda n: storage.search(SearchQuery(SearchMode.EXACT, " ".join(texts[n].split()[:2])))
    )
    async with watched(storage, "exact search that finds nothing"):
        await measure("exact, nothing found", 5, lambda _: storage.search(SearchQuery(SearchMode.EXACT, "zqxjkv wvuq")))
    await clients(storage, queries, texts)


async def clients(storage: QdrantEmbeddedStorage, queries: list[EmbeddedMemory], texts: list[str]) -> None:
    """Hybrid searches by several clients at once."""
    seen = Latencies()

    async def client(first: int) -> None:
        for number in range(first, len(queries), CLIENTS):
            started = time.perf_counter()
            await storage.search(SearchQuery(SearchMode.HYBRID, texts[number], queries[number].vector, limit=LIMIT))
            seen.add(started)

    started = time.perf_counter()
    await asyncio.gather(*map(client, range(CLIENTS)))
    rate = len(queries) / (time.perf_counter() - started)
    print(f"{f'hybrid, {CLIENTS} clients':34} {seen}  {rate:.0f} searches/s", flush=True)


async def write_figures(storage: QdrantEmbeddedStorage, fresh: list[EmbeddedMemory]) -> None:
    await measure("store one", 100, lambda n: storage.upsert([fresh[n]]))
    seen = Latencies()

    async def writer(first: int) -> None:
        for number in range(first, len(fresh), CLIENTS):
            started = time.perf_counter()
            await storage.upsert([fresh[number]])
            seen.add(started)

    started = time.perf_counter()
    await asyncio.gather(*map(writer, range(CLIENTS)))
    print(
        f"{f'store one, {CLIENTS} clients':34} {seen}  {len(fresh) / (time.perf_counter() - started):.0f} stores/s",
        flush=True,
    )


async def list_figures(storage: QdrantEmbeddedStorage) -> None:
    await measure("newest 20", 30, lambda _: storage.page(EVERYTHING, limit=20))
    await measure("newest 20 of a tag", 30, lambda _: storage.page(MemoryFilter(tags=("asyncio",)), limit=20))
    await measure("page 500", 5, lambda _: storage.page(EVERYTHING, limit=20, offset=10_000))
    await measure("count of a tag", 30, lambda _: storage.count(MemoryFilter(tags=("docstring",))))
    await measure("tags", 5, lambda _: storage.tags(EVERYTHING))
    async with watched(storage, "tags of a tag"):
        await measure("tags of a tag", 5, lambda _: storage.facet(FacetField.TAGS, MemoryFilter(tags=("docstring",))))


async def figures(storage: QdrantEmbeddedStorage) -> None:
    stats = await storage.stats()
    print(
        f"memories {stats.vectors_count:,}, indexed {stats.indexed_vectors_count:,}, disk {stats.disk_data_size / 1e6:.0f} MB, "
        f"engine resident {stats.ram_data_size / 1e6:.0f} MB, {dict(stats.details)}",
        flush=True,
    )


def split(corpus: EmbeddedCorpus) -> tuple[list[EmbeddedMemory], list[EmbeddedMemory]]:
    """What is stored, and texts held back as queries."""
    items = list(corpus.memories())
    return items[:-QUERIES], items[-QUERIES:]


async def run(corpus: EmbeddedCorpus, folder: Path, *, graph: bool, binary: bool) -> None:
    items, queries = split(corpus)
    options = EmbeddedOptions(
        folder, corpus.identity, quantization=binary, graph_threshold=1 if graph else 0, request_timeout=600.0
    )
    plain = EmbeddedOptions(folder, corpus.identity, quantization=binary, graph_threshold=0, request_timeout=600.0)
    storage = QdrantEmbeddedStorage(plain)
    with timed("create"):
        await storage.initialize()
    with timed(f"bulk load of {len(items):,}"):
        async with watched(storage, "bulk load"):
            for start in range(0, len(items), 2_000):
                await storage.upsert(items[start : start + 2_000])
    await figures(storage)
    with timed("close"):
        await storage.close()
    with timed("open"):
        await storage.initialize()
    await search_figures(storage, queries)
    await list_figures(storage)
    await write_figures(storage, [renamed(item, number) for number, item in enumerate(islice(items, 800))])
    if graph:
        await storage.close()
        storage = QdrantEmbeddedStorage(options)
        await storage.initialize()
        with timed("graph, built and taken over"):
            async with watched(storage, "graph build and switch"):
                print((await storage.optimize()).message)
        await figures(storage)
        await search_figures(storage, queries)
        await write_figures(storage, [renamed(item, -1 - number) for number, item in enumerate(islice(items, 800))])
    with timed("delete of half"):
        async with watched(storage, "delete of half"):
            print(
                await storage.delete_matching(MemoryFilter(created_to=items[len(items) // 2].memory.created_at)),
                "deleted",
            )
    with timed("close"):
        await storage.close()


def renamed(item: EmbeddedMemory, number: int) -> EmbeddedMemory:
    """The same text and vector as another memory."""
    old = item.memory
    new = Memory(old.content, f"{number & (2**64 - 1):064x}", old.created_at, old.updated_at, old.tags, "reference")
    return EmbeddedMemory(new, item.vector)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=100_000)
    parser.add_argument("--graph", action="store_true", help="build the graph too, and measure again")
    parser.add_argument("--binary", action="store_true", help="with binary quantization")
    parser.add_argument("--folder", type=Path, help="where the store is made; default: a temporary folder")
    arguments = parser.parse_args()
    corpus = asyncio.run(load(arguments.count + QUERIES))
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="storage-benchmark-"))
    try:
        asyncio.run(run(corpus, folder / "store", graph=arguments.graph, binary=arguments.binary))
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
