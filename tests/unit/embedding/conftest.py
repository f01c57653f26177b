"""The real default model, loaded once; its graph is made in a folder of this run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_memory.embedding.base import EmbeddingProvider
from mcp_memory.embedding.options import DEFAULT_MODEL, EmbeddingOptions
from mcp_memory.embedding.select import build_provider
from mcp_memory.embedding.weights import locate_model


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """The files of all-MiniLM-L6-v2, as on the Hub."""
    return locate_model(DEFAULT_MODEL, None)


@pytest.fixture(scope="session")
def graph_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="session")
def minilm(graph_cache: Path) -> Iterator[EmbeddingProvider]:
    """The default provider."""
    provider = build_provider(EmbeddingOptions(cache_dir=graph_cache, threads=2))
    yield provider
    provider.close()
