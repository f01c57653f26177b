"""Real texts with their vectors, kept in a cache: embedding 100,000 of them takes a quarter of an hour, once.

usage: python -m benchmarks.embedded_corpus N
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs

from benchmarks import corpus
from mcp_memory.domain.memory import EmbeddedMemory, Memory, content_hash, next_revision
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import Embedder
from mcp_memory.embedding.embedder import WindowedEmbedder
from mcp_memory.embedding.select import EmbeddingOptions, build_provider

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 500
"""Texts embedded between two writes to the cache: an interrupted run goes on from there."""

NOISE = 0.038
"""Standard deviation a dimension: at 384 dimensions its length is 0.75, and the cosine to the original 0.8."""


@dataclass(frozen=True)
class EmbeddedCorpus:
    """`vectors` is float32[n, d], L2-normalised, a row for each of `texts` (REST memory objects)."""

    identity: ModelIdentity
    texts: list[dict[str, Any]]
    vectors: NDArray[np.float32]

    def memories(self, total: int | None = None) -> Iterator[EmbeddedMemory]:
        """Those of the corpus, and up to `total` in all variations of them: the same words and one more, and the vector with
        noise (cosine about 0.8 to the original).
        """
        originals = []
        for item in self._originals():
            originals.append(item)
            yield item
        draw = np.random.default_rng(7)
        for number in range(len(originals), total or 0):
            source = originals[number % len(originals)]
            noisy = source.vector + draw.normal(scale=NOISE, size=source.vector.size).astype(np.float32)
            text = f"{source.memory.content} variation{number}"
            memory = replace(source.memory, content=text, content_hash=content_hash(text))
            yield EmbeddedMemory(memory, (noisy / np.linalg.norm(noisy)).astype(np.float32))

    def first(self, count: int) -> EmbeddedCorpus:
        """The first `count` of them."""
        return replace(self, texts=self.texts[:count], vectors=self.vectors[:count])

    def _originals(self) -> Iterator[EmbeddedMemory]:
        for text, vector in zip(self.texts, self.vectors, strict=True):
            memory = Memory(
                content=text["content"],
                content_hash=content_hash(text["content"]),
                created_at=text["created_at"],
                updated_at=text["updated_at"],
                tags=tuple(text["tags"]),
                memory_type=text["memory_type"],
                metadata=text["metadata"],
                revision=next_revision(text["updated_at"]),
            )
            yield EmbeddedMemory(memory, vector)


async def load(count: int, *, threads: int | None = None, cache: Path | None = None) -> EmbeddedCorpus:
    """`count` texts with vectors, from the cache (the user's, where no folder is given) as far as they are in it."""
    provider = await asyncio.to_thread(
        build_provider, EmbeddingOptions(model="all-MiniLM-L6-v2", provider="onnx", threads=threads)
    )
    embedder = WindowedEmbedder(provider)
    try:
        identity = embedder.identity
        texts_file = await asyncio.to_thread(_texts, count, cache or _users_cache())
        with texts_file.open(encoding="utf-8") as lines:
            texts = [json.loads(line) for line in islice(lines, count)]
        rows_file = texts_file.with_name(f"{texts_file.stem}-{identity.fingerprint[:8]}.f32")
        row_bytes = 4 * identity.dimensions
        done = rows_file.stat().st_size // row_bytes if rows_file.exists() else 0
        if done < count:
            await _embed(embedder, texts, rows_file, done)
    finally:
        await embedder.close()
    vectors = np.fromfile(rows_file, "<f4", count=count * identity.dimensions).reshape(count, identity.dimensions)
    return EmbeddedCorpus(identity, texts, vectors)


async def _embed(embedder: Embedder, texts: list[dict[str, Any]], rows_file: Path, done: int) -> None:
    """Add the rows that are missing behind the first `done`."""
    with rows_file.open("r+b" if done else "wb") as file:
        file.seek(done * 4 * embedder.identity.dimensions)
        file.truncate()
        for start in range(done, len(texts), CHUNK):
            parts = [text["content"] for text in texts[start : start + CHUNK]]
            file.write((await embedder.embed_documents(parts)).astype("<f4").tobytes())
            file.flush()
            print(f"\rembedded {start + len(parts):,} of {len(texts):,}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def _users_cache() -> Path:
    return Path(platformdirs.user_cache_dir("mcp-memory", appauthor=False)) / "benchmarks"


def _texts(count: int, folder: Path) -> Path:
    """A cached file with at least so many texts; the first run finds them on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    larger = sorted(
        (int(path.stem.removeprefix("texts-")), path)
        for path in folder.glob("texts-*.jsonl")
        if int(path.stem.removeprefix("texts-")) >= count
    )
    if larger:
        return larger[0][1]
    file = folder / f"texts-{count}.jsonl"
    part = file.with_suffix(".part")
    with part.open("w", encoding="utf-8") as target:
        for memory in corpus.memories(count):
            target.write(json.dumps(memory, ensure_ascii=False) + "\n")
    part.replace(file)
    return file


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(load(int(sys.argv[1])))
