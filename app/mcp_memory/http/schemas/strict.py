"""Bodies whose every field is known: one that isn't is refused with the name of the nearest, never ignored."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from mcp_memory.domain.fields import unknown_field

UNKNOWN_FIELD = "unknown_field"
"""The type of the error, and its code on the wire."""


class RequestBody(BaseModel):
    """What a client sends as JSON."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = [name for name in value if name not in known]
        if not unknown:
            return value
        raise ValidationError.from_exception_data(
            cls.__name__,
            [
                InitErrorDetails(
                    type=PydanticCustomError(UNKNOWN_FIELD, "{why}", {"why": unknown_field(str(name), known)}),
                    loc=(str(name),),
                    input=None,
                )
                for name in unknown[:20]
            ],
        )
