"""SentenceTransformersProvider: any model that sentence-transformers runs, on CUDA, MPS or CPU. Needs the extra `torch`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import TextKind
from mcp_memory.embedding.encoder import DEFAULT_WINDOW, WEIGHTS_NAME, read_pooling, read_prompts
from mcp_memory.embedding.graph_folder import hash_weights
from mcp_memory.embedding.models import weights_fingerprint
from mcp_memory.embedding.reading import is_readable
from mcp_memory.embedding.windows import WindowSplitter, plain_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SentenceTransformersProvider:
    """A model folder, loaded by sentence-transformers. Its identity is the one that OnnxProvider gives the same weights."""

    def __init__(self, folder: Path, *, name: str, threads: int | None = None, device: str | None = None) -> None:
        """Load it; `device` None takes CUDA or MPS where there is one. Raises EmbeddingError where the files don't allow it."""
        import torch  # noqa: PLC0415
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        if threads is not None:
            torch.set_num_threads(threads)
        try:
            self._model: Any = SentenceTransformer(str(folder), device=device)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise EmbeddingError(f"sentence-transformers can't load the model in {folder}: {error}") from error
        self._lock = threading.Lock()
        self._prompts = read_prompts(folder, name)
        window = int(self._model.max_seq_length or DEFAULT_WINDOW)
        self._splitter = self._make_splitter(folder, window)
        weights = hash_weights(folder, name) if (folder / WEIGHTS_NAME).is_file() else _hash_all(folder)
        self._identity = ModelIdentity(
            name,
            len(self._encode([""])[0]),
            weights_fingerprint(weights, pooling=read_pooling(folder), window=window, prompts=self._prompts),
        )

    @property
    def identity(self) -> ModelIdentity:
        return self._identity

    def windows(self, text: str) -> list[str]:
        return self._splitter.split(text)

    def reads(self, text: str) -> bool:
        return is_readable(self._splitter.tokenizer, text)

    def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self._identity.dimensions), np.float32)
        prompt = self._prompts.of(kind)
        vectors = self._encode([prompt + text for text in texts])
        if not np.isfinite(vectors).all():
            raise EmbeddingError(f"The model {self._identity.name} gave a vector that isn't finite.")
        return vectors

    def close(self) -> None:
        """Nothing to do: memory goes with the object."""

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        with self._lock:  # one tokenizer and one device: calls at the same time gain nothing, and share state
            vectors = self._model.encode(
                texts, prompt="", batch_size=min(len(texts), 32), normalize_embeddings=True, show_progress_bar=False
            )
        return np.asarray(vectors, np.float32)

    def _make_splitter(self, folder: Path, window: int) -> WindowSplitter:
        backend = getattr(self._model.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise EmbeddingError(f"The model in {folder} has no fast tokenizer (tokenizer.json), which windows need.")
        return WindowSplitter(plain_tokenizer(backend.to_str()), window, self._prompts.longest)


def _hash_all(folder: Path) -> str:
    """SHA-256 over names and contents of all weights, where they aren't in one safetensors file."""
    digest = sha256()
    for path in sorted(path for pattern in ("**/*.safetensors", "**/*.bin") for path in folder.glob(pattern)):
        digest.update(path.relative_to(folder).as_posix().encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
