"""What the settings decide about embedding, as plain values: this package doesn't read the settings itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_MODEL = "all-MiniLM-L6-v2"
ONNX = "onnx"
SENTENCE_TRANSFORMERS = "sentence-transformers"
OPENAI = "openai"


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """Which model, from where, run by what. Keys never appear in a repr."""

    model: str = DEFAULT_MODEL
    provider: str | None = None
    """onnx, sentence-transformers or openai; None: follows from the rest (`select.choose_provider`)."""
    model_path: Path | None = None
    """A folder with the model's files as on the Hub, or with a graph made by `python -m mcp_memory.embedding.prebuild`."""
    cache_dir: Path | None = None
    """Where graphs are kept; None: the platform's cache folder for `mcp-memory`."""
    offline: bool = False
    """Never ask the Hub."""
    threads: int | None = None
    """Threads of one inference; None: the cores this process may use, at most 8."""
    timeout: float = 30.0
    """Seconds until a call to an endpoint, retries included, is given up."""
    external_url: str | None = None
    external_model: str | None = None
    external_api_key: str | None = field(default=None, repr=False)
    openai_api_key: str | None = field(default=None, repr=False)
    openai_base_url: str = "https://api.openai.com/v1"
