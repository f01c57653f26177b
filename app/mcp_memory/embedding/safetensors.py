"""Reading a safetensors file: an 8-byte little-endian header length, a JSON header, then raw tensors.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcp_memory.domain.errors import EmbeddingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
_MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor by name, mapped from the file (nothing is read until it is used); bfloat16 comes widened to float32.

    Raises EmbeddingError, naming the file, where it isn't a complete safetensors file.
    """
    try:
        mapped = np.memmap(path, dtype=np.uint8, mode="r")
        header_length = int.from_bytes(mapped[:8].tobytes(), "little")
        if not 2 <= header_length <= min(_MAX_HEADER_BYTES, mapped.size - 8):
            raise ValueError(f"a header of {header_length} bytes in a file of {mapped.size}")
        header = json.loads(mapped[8 : 8 + header_length].tobytes())
        header.pop("__metadata__", None)
        body = mapped[8 + header_length :]
        return {name: _tensor(body, entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EmbeddingError(f"{path} isn't a readable safetensors file: {error}") from error


def _tensor(body: NDArray[np.uint8], entry: dict[str, Any]) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= body.size:
        raise ValueError(f"a tensor at {start}-{end} in {body.size} bytes of data")
    raw = body[start:end]
    if entry["dtype"] == "BF16":
        return (raw.view("<u2").astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])
    return raw.view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
