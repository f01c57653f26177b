"""The vectors are those of sentence-transformers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from mcp_memory.embedding.base import EmbeddingProvider, TextKind
from mcp_memory.embedding.embedder import WindowedEmbedder
from mcp_memory.embedding.graph_folder import read_manifest
from mcp_memory.embedding.onnx_provider import OnnxProvider
from mcp_memory.embedding.options import DEFAULT_MODEL, EmbeddingOptions
from mcp_memory.embedding.prebuild import prebuild
from mcp_memory.embedding.select import build_provider

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.anyio
DATA = Path(__file__).resolve().parents[2] / "data"
TEXTS: dict[str, list[str]] = json.loads((DATA / "golden_texts.json").read_text("utf-8"))
COSINE = 0.9999


def golden(name: str) -> NDArray[np.float32]:
    with np.load(DATA / "golden_minilm.npz") as arrays:
        vectors = arrays[name].astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def worst_cosine(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    return float((ours * theirs).sum(axis=1).min())


async def test_200_texts_within_a_window_get_the_vectors_of_sentence_transformers(minilm: EmbeddingProvider) -> None:
    embedder = WindowedEmbedder(minilm)
    assert len(TEXTS["short"]) >= 200
    assert worst_cosine(await embedder.embed_documents(TEXTS["short"]), golden("short")) >= COSINE


async def test_longer_texts_get_the_normalised_mean_of_their_windows_vectors(minilm: EmbeddingProvider) -> None:
    embedder = WindowedEmbedder(minilm)
    windows = [len(minilm.windows(text)) for text in TEXTS["long"]]
    assert sum(count > 1 for count in windows) >= 10
    assert worst_cosine(await embedder.embed_documents(TEXTS["long"]), golden("long")) >= COSINE


async def test_a_query_is_embedded_as_a_document_by_a_model_without_prompts(minilm: EmbeddingProvider) -> None:
    embedder = WindowedEmbedder(minilm)
    for index in (0, 7, 120):
        text = TEXTS["short"][index]
        assert float(await embedder.embed_query(text) @ golden("short")[index]) >= COSINE


async def test_float16_weights_change_nothing_that_matters(
    minilm: EmbeddingProvider, model_folder: Path, tmp_path: Path
) -> None:
    manifest = prebuild(tmp_path / "half", source=model_folder, half=True)
    half = OnnxProvider(tmp_path / "half", manifest, name=DEFAULT_MODEL, threads=2)
    exact, close = [await WindowedEmbedder(provider).embed_documents(TEXTS["short"]) for provider in (minilm, half)]
    assert float((exact * close).sum(axis=1).min()) >= 0.99999
    assert half.identity == minilm.identity
    assert read_manifest(tmp_path / "half").half
    size = sum(path.stat().st_size for path in (tmp_path / "half").iterdir())
    assert size < 50_000_000


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None,
    reason="the live comparison needs sentence-transformers: uv sync --extra torch (the golden vectors were compared above)",
)
def test_sentence_transformers_itself_gives_the_same_vectors_windows_and_identity(minilm: EmbeddingProvider) -> None:
    real = build_provider(EmbeddingOptions(provider="sentence-transformers"))
    assert real.identity == minilm.identity
    texts = TEXTS["short"]
    ours = minilm.embed(texts, TextKind.DOCUMENT)
    assert worst_cosine(real.embed(texts, TextKind.DOCUMENT), ours) >= COSINE
    assert [real.windows(text) for text in TEXTS["long"]] == [minilm.windows(text) for text in TEXTS["long"]]
