"""Which embedding model vectors came from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What vectors in one collection have in common. `hash8` names the vector, so that models can't be mixed."""

    name: str
    dimensions: int
    fingerprint: str
    """Content hash of the weights or, for an endpoint, of its address, model name and dimensions; hex."""

    @property
    def hash8(self) -> str:
        return self.fingerprint[:8]

    @property
    def vector_name(self) -> str:
        return f"dense_{self.hash8}"
