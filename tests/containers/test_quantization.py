"""Binary quantization on real texts with the image and a real Qdrant: on, off and on again; what is found, and what it saves.

The texts are paragraphs of this machine's documentation, embedded once (minutes) and kept in pytest's cache.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from benchmarks.embedded_corpus import EmbeddedCorpus, load

from containers.qdrant import Qdrant
from containers.report import Figures
from containers.service import Service
from containers.world import World
from original_databases import Generation, OriginalRow, build
from service_answers import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

VECTORS = 20_000
QUERIES = 200
"""Texts that are not stored, and asked for."""
RECALL = 0.95
NEAREST = 10


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> EmbeddedCorpus:
    cache = request.config.cache.mkdir("corpus") if request.config.cache else None
    return asyncio.run(load(VECTORS + QUERIES, cache=cache))


@dataclass(frozen=True)
class Library:
    """What is stored, what is asked, and the truth by comparing all with all."""

    contents: list[str]
    vectors: np.ndarray
    questions: list[str]
    nearest: list[set[str]]

    @classmethod
    def of(cls, corpus: EmbeddedCorpus) -> Library:
        texts = [str(text["content"]) for text in corpus.texts]
        vectors, asked = corpus.vectors[:VECTORS], corpus.vectors[VECTORS:]
        order = np.argsort(-(asked @ vectors.T), axis=1)[:, :NEAREST]
        return cls(texts[:VECTORS], vectors, texts[VECTORS:], [{texts[column] for column in row} for row in order])

    def database(self, path: Path) -> Path:
        """As the original service would have it."""
        rows = (OriginalRow(text, vector) for text, vector in zip(self.contents, self.vectors, strict=True))
        return build(path, Generation.V12_4, rows)

    def recall(self, service: Service) -> float:
        """Share of the ten nearest that the service's search finds."""
        found = 0
        with service.client() as http:
            for question, nearest in zip(self.questions, self.nearest, strict=True):
                body = {"query": question, "mode": "semantic", "n_results": NEAREST}
                hits = http.post("/api/search", json=body).raise_for_status().json()["results"]
                found += len(nearest & {hit["memory"]["content"] for hit in hits})
        return found / (NEAREST * len(self.questions))


@dataclass
class Deployment:
    """The same store with quantization on or off, as the setting says when the service starts."""

    world: World
    qdrant: Qdrant
    library: Library
    figures: Figures
    settings: dict[str, str]

    def measure(self, *, on: bool, when: str) -> None:
        wanted = "binary" if on else None
        began = time.monotonic()
        service = self.world.service(self.qdrant, MCP_QDRANT_QUANTIZATION_ENABLED=str(on).lower(), **self.settings)
        with service.client() as http:

            def settled() -> bool:
                details = http.get("/api/storage/stats").raise_for_status().json()["details"]
                return details["quantization"] == wanted and details["status"] == "green"

            until(settled, seconds=900)
            seconds = time.monotonic() - began
            recall = self.library.recall(service)
            stats = http.get("/api/storage/stats").json()
        service.stop_gracefully()
        originals = self.library.vectors.nbytes
        quantized = stats["details"]["quantized_ram_bytes"]
        self.figures(f"{when}: recall@{NEAREST}", recall)
        self.figures(f"{when}: quantized vectors in RAM", quantized / 1e6, f"MB (originals: {originals / 1e6:.1f} MB)")
        self.figures(f"{when}: collection in RAM, as Qdrant reports it", stats["ram_data_size"] / 1e6, "MB")
        self.figures(f"{when}: from the service's start", seconds, "s")
        assert stats["vectors_count"] == len(self.library.contents)
        assert recall >= RECALL
        if on:
            assert 0 < quantized < originals / 16
        else:
            assert quantized == 0


def test_binary_quantization_finds_the_nearest_in_a_fraction_of_the_memory(
    world: World, corpus: EmbeddedCorpus, figures: Figures, tmp_path: Path
) -> None:
    native = world.on.service.native
    library = Library.of(corpus)
    figures("vectors of real texts", len(library.contents) / 1_000, "thousand")
    sources = world.volume_with(library.database(tmp_path / "library.db"))
    qdrant = world.qdrant()
    settings = {} if native else world.embedding_endpoint().settings()
    brought = world.memory(
        *("migrate", "sqlite", "--source", "/source/library.db", "--batch-size", "500", "--validate-sample", "500"),
        qdrant=(qdrant,),
        mounts={sources: "/source:ro"},
        MCP_QDRANT_QUANTIZATION_ENABLED="true",
        **settings,
    )
    assert brought.exit_code == 0, brought.output
    deployment = Deployment(world, qdrant, library, figures, settings)
    deployment.measure(on=True, when="on")
    deployment.measure(on=False, when="off")
    deployment.measure(on=True, when="on again")
