"""What the settings say about the embedding model. Apart from the container: a start's checks ask it without loading anything."""

from __future__ import annotations

from pydantic import SecretStr

from mcp_memory.config import Settings
from mcp_memory.embedding.options import EmbeddingOptions


def embedding_options(settings: Settings) -> EmbeddingOptions:
    """What the settings say about the model."""
    return EmbeddingOptions(
        model=settings.embedding_model,
        provider=settings.embedding_provider.value if settings.embedding_provider else None,
        model_path=settings.embedding_model_path,
        cache_dir=settings.embedding_cache_dir,
        offline=settings.offline,
        threads=settings.embedding_threads,
        timeout=settings.embedding_timeout,
        external_url=settings.external_embedding_url,
        external_model=settings.external_embedding_model,
        external_api_key=_secret(settings.external_embedding_api_key),
        openai_api_key=_secret(settings.openai_api_key),
        openai_base_url=settings.openai_base_url,
    )


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value is not None else None
