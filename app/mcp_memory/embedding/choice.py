"""Which provider the options name or imply, and whether they can work together: decided without loading any."""

from __future__ import annotations

import importlib.util

from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.embedding.models import OPENAI_DIMENSIONS
from mcp_memory.embedding.options import ONNX, OPENAI, SENTENCE_TRANSFORMERS, EmbeddingOptions


def choose_provider(options: EmbeddingOptions) -> str | None:
    """The provider that the options name or imply; None where the model's files decide (onnx if they can, else the other)."""
    if options.provider is not None:
        return options.provider
    if options.external_url:
        return OPENAI
    if options.model in OPENAI_DIMENSIONS and options.model_path is None:
        if options.openai_api_key:
            return OPENAI
        raise ConfigurationError(
            f"The embedding model {options.model} is OpenAI's: set OPENAI_API_KEY, or MCP_EXTERNAL_EMBEDDING_URL to an "
            "endpoint that serves it."
        )
    return None


def check_choice(options: EmbeddingOptions) -> None:
    """Raises ConfigurationError where what was chosen lacks what it needs."""
    match choose_provider(options):
        case "openai":
            if not options.external_url and not options.openai_api_key:
                raise ConfigurationError(
                    "MCP_EMBEDDING_PROVIDER=openai needs OPENAI_API_KEY, or MCP_EXTERNAL_EMBEDDING_URL for another endpoint."
                )
            return
        case "sentence-transformers":
            if importlib.util.find_spec("sentence_transformers") is None:
                raise ConfigurationError(missing_torch())
        case "onnx" | None:
            pass
        case unknown:
            raise ConfigurationError(
                f"MCP_EMBEDDING_PROVIDER={unknown} is unknown: use {ONNX}, {SENTENCE_TRANSFORMERS} or {OPENAI}."
            )
    if options.model_path is not None and not options.model_path.is_dir():
        raise ConfigurationError(f"MCP_EMBEDDING_MODEL_PATH: there is no folder {options.model_path}.")


def missing_torch() -> str:
    """What to do where sentence-transformers is asked for and isn't installed."""
    return (
        "MCP_EMBEDDING_PROVIDER=sentence-transformers needs the extra 'torch':  "
        'pip install "mcp-memory-qdrant[torch]"  (or, in a clone, uv sync --extra torch).'
    )
