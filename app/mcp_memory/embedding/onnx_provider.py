"""OnnxProvider: sentence encoders on ONNX Runtime, float32, the same vectors as sentence-transformers."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcp_memory.domain.errors import EmbeddingError
from mcp_memory.domain.model import ModelIdentity
from mcp_memory.embedding.base import TextKind
from mcp_memory.embedding.cores import usable_cores
from mcp_memory.embedding.encoder import TOKENIZER_NAME
from mcp_memory.embedding.graph import GRAPH_FILE, WEIGHTS_FILE
from mcp_memory.embedding.graph_folder import DamagedGraphError, Manifest, check_files
from mcp_memory.embedding.reading import is_readable
from mcp_memory.embedding.windows import WindowSplitter, plain_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

MAX_THREADS = 8
SPIN_MICROSECONDS = "400"
"""A query takes 2.5 ms instead of 4.5 on two cores, for 8 % more CPU (docs/decisions/embedding.md)."""


class OnnxProvider:
    """A graph folder, loaded. Serves several threads at a time; see `graph_folder` and `graph_cache` for where it comes from."""

    def __init__(self, folder: Path, manifest: Manifest, *, name: str, threads: int | None = None) -> None:
        """Load it. Raises DamagedGraphError where the files aren't what the manifest says."""
        check_files(folder, manifest, (GRAPH_FILE, TOKENIZER_NAME))
        weights = _BackgroundCheck(folder, manifest)
        try:
            self._session = _open_session(folder, threads or min(usable_cores(), MAX_THREADS))
            self._tokenizer = plain_tokenizer((folder / TOKENIZER_NAME).read_text("utf-8"))
        finally:
            weights.join()
        self._prompts = manifest.prompts
        self._splitter = WindowSplitter(self._tokenizer, manifest.window, manifest.prompts.longest)
        self._padding = self._tokenizer.token_to_id("[PAD]") or 0
        self._identity = ModelIdentity(name, manifest.dimensions, manifest.fingerprint)

    @property
    def identity(self) -> ModelIdentity:
        return self._identity

    def windows(self, text: str) -> list[str]:
        return self._splitter.split(text)

    def reads(self, text: str) -> bool:
        return is_readable(self._tokenizer, text)

    def embed(self, texts: Sequence[str], kind: TextKind) -> NDArray[np.float32]:
        if not texts:
            return np.empty((0, self._identity.dimensions), np.float32)
        prompt = self._prompts.of(kind)
        encodings = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        shape = (len(texts), max(len(encoding.ids) for encoding in encodings))
        ids, mask = np.full(shape, self._padding, np.int64), np.zeros(shape, np.int64)
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding.ids)] = encoding.ids
            mask[row, : len(encoding.ids)] = 1
        try:
            vectors: NDArray[np.float32] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        except _runtime_errors() as error:
            raise EmbeddingError(f"ONNX Runtime failed on the model {self._identity.name}: {error}") from error
        if not np.isfinite(vectors).all():
            raise EmbeddingError(f"The model {self._identity.name} gave a vector that isn't finite.")
        return vectors

    def close(self) -> None:
        """Nothing to do: memory goes with the object."""


class _BackgroundCheck:
    """The weights file's checksum, taken while ONNX Runtime reads the same pages."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._damage: DamagedGraphError | None = None
        self._thread = threading.Thread(target=self._run, args=(folder, manifest), name="weights-check")
        self._thread.start()

    def _run(self, folder: Path, manifest: Manifest) -> None:
        try:
            check_files(folder, manifest, (WEIGHTS_FILE,))
        except DamagedGraphError as error:
            self._damage = error

    def join(self) -> None:
        """Raises what the check found."""
        self._thread.join()
        if self._damage is not None:
            raise self._damage


def _open_session(folder: Path, threads: int) -> InferenceSession:
    # Its wheels report to Microsoft from 1.32 on, unless this stands in the environment before they are imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # noqa: PLC0415  (0.2 s, and 20 MB)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as well: once is enough
    # Between two layers threads wait for some 50 us: waking them takes longer. Behind the last one nobody is to spin for long.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.intra_op.spin_duration_us", SPIN_MICROSECONDS)
    try:
        return onnxruntime.InferenceSession(str(folder / GRAPH_FILE), options, providers=["CPUExecutionProvider"])
    except _runtime_errors() as error:
        raise DamagedGraphError(f"ONNX Runtime can't load the graph in {folder}: {error}") from error


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: classes without a base of their own, which type checkers can't see."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.RuntimeException,
    )
