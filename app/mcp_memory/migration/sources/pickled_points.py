"""Points as qdrant-client's local mode pickles them, read without running what a pickle could run.

A pickle may name any function and have it called. Here every qdrant-client class becomes an inert stand-in that only takes
attributes, and anything else but a few harmless types is refused. That also makes reading independent of qdrant-client's version.
"""

from __future__ import annotations

import base64
import binascii
import io
import pickle
import pickletools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_HARMLESS: Mapping[tuple[str, str], Any] = {
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # its name in protocols before 3
    ("builtins", "frozenset"): frozenset,
    ("uuid", "UUID"): uuid.UUID,
}
_MEMO = frozenset({"PUT", "LONG_BINPUT"})


class UnsafePickleError(ValueError):
    """The pickle names something that a stored point has no use for."""


@dataclass(frozen=True, slots=True)
class StoredPoint:
    id: int | str
    vector: Any
    """A list of numbers, or such lists (and sparse vectors) by name."""
    payload: Mapping[str, Any]


class _Model:
    """Stands for any class of qdrant-client: takes the attributes that pydantic (1 or 2) pickled, and no others."""

    attributes: Mapping[str, Any]

    def __setstate__(self, state: object) -> None:
        attributes = state.get("__dict__") if isinstance(state, dict) else None
        self.attributes = attributes if isinstance(attributes, dict) else {}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".", maxsplit=1)[0] == "qdrant_client":
            return _Model
        found = _HARMLESS.get((module, name))
        if found is None:
            raise UnsafePickleError(f"it holds {module}.{name}, which a stored point has no use for")
        return found


def read_point(pickled: bytes) -> StoredPoint:
    """Raises UnsafePickleError, or ValueError for what isn't a pickled point."""
    point = _load(pickled)
    attributes = getattr(point, "attributes", {}) if isinstance(point, _Model) else {}
    if not isinstance(attributes.get("id"), int | str | uuid.UUID):
        raise ValueError("it is no stored point")
    payload = attributes.get("payload")
    return StoredPoint(
        id=_plain_id(attributes["id"]),
        vector=_plain_vector(attributes.get("vector")),
        payload=payload if isinstance(payload, dict) else {},
    )


def read_key(key: str) -> int | str:
    """The point's id in a row's key (a base64 pickle). Raises ValueError."""
    try:
        id_ = _load(base64.b64decode(key, validate=True))
    except binascii.Error as error:
        raise ValueError("its key is no base64") from error
    if not isinstance(id_, int | str | uuid.UUID):
        raise ValueError("its key is no point id")
    return _plain_id(id_)


def _load(pickled: bytes) -> object:
    try:
        _refuse_far_memo(pickled)
        return _Unpickler(io.BytesIO(pickled)).load()
    except UnsafePickleError:
        raise
    except Exception as error:
        raise ValueError(f"it can't be unpickled: {type(error).__name__}") from error


def _refuse_far_memo(pickled: bytes) -> None:
    """Nine bytes can make the unpickler allot gigabytes: its memo is a table as long as the highest index it is told."""
    for opcode, index, _ in pickletools.genops(pickled):
        if opcode.name in _MEMO and isinstance(index, int) and index > len(pickled):
            raise UnsafePickleError(
                f"it asks for {index:,} places to remember things, and is {len(pickled):,} bytes long"
            )


def _plain_id(id_: int | str | uuid.UUID) -> int | str:
    if isinstance(id_, int):
        return id_
    try:
        return str(uuid.UUID(str(id_)))
    except ValueError:
        return str(id_)


def _plain_vector(vector: Any) -> Any:
    """Sparse vectors and the like are left out: they are computed again."""
    if isinstance(vector, dict):
        return {str(name): value for name, value in vector.items() if not isinstance(value, _Model)}
    return None if isinstance(vector, _Model) else vector
