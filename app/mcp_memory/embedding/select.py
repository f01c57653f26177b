"""Which provider runs the configured model, and the embedder around it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import platformdirs

from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.embedding.base import EmbeddingProvider
from mcp_memory.embedding.batch_queue import Observe
from mcp_memory.embedding.choice import check_choice, choose_provider, missing_torch
from mcp_memory.embedding.embedder import EmbedderLimits, EndpointEmbedder, WindowedEmbedder
from mcp_memory.embedding.encoder import UnsupportedModelError
from mcp_memory.embedding.graph_cache import GraphCache
from mcp_memory.embedding.graph_folder import is_graph_folder, read_manifest
from mcp_memory.embedding.onnx_provider import OnnxProvider
from mcp_memory.embedding.options import OPENAI, EmbeddingOptions
from mcp_memory.embedding.weights import locate_model

__all__ = ["EmbeddingOptions", "build_embedder", "build_provider"]

ENDPOINT_LIMITS = EmbedderLimits(batch_texts=64, batch_tokens=16_384, together=1, express_threads=4, bulk_threads=2)
"""A call to an endpoint is mostly waiting, so batches are larger and more of them run at a time."""


def build_embedder(options: EmbeddingOptions, *, observe: Observe | None = None) -> WindowedEmbedder:
    """The embedder for these options, model loaded. Blocking (0.7 s for the default model, once 2 s): call it in a thread.

    Raises ConfigurationError where the options can't work and EmbeddingError where the model or the endpoint fails.
    """
    provider = build_provider(options)
    if choose_provider(options) == OPENAI:
        limits = replace(ENDPOINT_LIMITS, patience=options.timeout)
        return EndpointEmbedder(provider, limits=limits, observe=observe)
    return WindowedEmbedder(provider, limits=EmbedderLimits(), observe=observe)


def build_provider(options: EmbeddingOptions) -> EmbeddingProvider:
    """As `build_embedder`, without windows and queue."""
    check_choice(options)
    match choose_provider(options):
        case "openai":
            return _endpoint(options)
        case "sentence-transformers":
            return _sentence_transformers(options)
        case "onnx":
            return _onnx(options)
        case None:
            try:
                return _onnx(options)
            except UnsupportedModelError as unsupported:
                return _sentence_transformers(options, unless=unsupported)
        case unknown:
            raise AssertionError(unknown)  # check_choice has refused it


def _onnx(options: EmbeddingOptions) -> EmbeddingProvider:
    source = locate_model(options.model, options.model_path, offline=options.offline)
    if is_graph_folder(source):
        manifest = read_manifest(source)
        return OnnxProvider(source, manifest, name=options.model, threads=options.threads)
    cache = GraphCache(options.cache_dir or Path(platformdirs.user_cache_dir("mcp-memory", appauthor=False)))
    return cache.load(
        source,
        options.model,
        lambda folder, manifest: OnnxProvider(folder, manifest, name=options.model, threads=options.threads),
    )


def _sentence_transformers(
    options: EmbeddingOptions, *, unless: UnsupportedModelError | None = None
) -> EmbeddingProvider:
    if importlib.util.find_spec("sentence_transformers") is None:
        raise ConfigurationError(str(unless) if unless is not None else missing_torch())
    from mcp_memory.embedding.sentence_transformers_provider import SentenceTransformersProvider  # noqa: PLC0415

    folder = locate_model(options.model, options.model_path, offline=options.offline)
    return SentenceTransformersProvider(folder, name=options.model, threads=options.threads)


def _endpoint(options: EmbeddingOptions) -> EmbeddingProvider:
    from mcp_memory.embedding.openai_provider import OpenAIProvider  # noqa: PLC0415  (httpx, where it is needed)

    if options.external_url:
        return OpenAIProvider(
            url=options.external_url,
            model=options.external_model or options.model,
            api_key=options.external_api_key,
            key_name="MCP_EXTERNAL_EMBEDDING_API_KEY",
            timeout=options.timeout,
        )
    return OpenAIProvider(
        url=options.openai_base_url,
        model=options.model,
        api_key=options.openai_api_key,
        key_name="OPENAI_API_KEY",
        timeout=options.timeout,
    )
