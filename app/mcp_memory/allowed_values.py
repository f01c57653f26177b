"""What may stand in a setting, in words: for the page of settings and for the message where something else stands there."""

from __future__ import annotations

import types
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import JsonValue, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_FORMS: dict[Any, str] = {
    bool: "true or false",
    Path: "an absolute path",
    SecretStr: "a text, or its file under the same name with _FILE",
}


def allowed(field: FieldInfo) -> str:
    """A sentence: kind, range and unit, and the default where there is one."""
    default = default_of(field)
    return f"Give {form(field)}" + (f" (default {default})." if default else ".")


def form(field: FieldInfo) -> str:
    """Kind, range and unit: `a whole number from 1 to 65535`, `seconds, above 0 and at most 300`, `true or false`."""
    kind = _kind(field.annotation)
    named = unit_of(field)
    if kind in (int, float):
        return f"{_number(kind, named)}{_range(field)}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choice([str(member.value) for member in kind])
    if get_origin(kind) is list:
        return "texts separated by commas"
    return named or _FORMS.get(kind, "a text")


def unit(text: str) -> dict[str, JsonValue]:
    """What `unit_of` reads, as a field's `json_schema_extra`: bytes, seconds, ..., or for a text its form."""
    return {"unit": text}


def unit_of(field: FieldInfo) -> str | None:
    """What `unit` was given for the field."""
    extra = field.json_schema_extra
    return str(extra["unit"]) if isinstance(extra, dict) and "unit" in extra else None


def default_of(field: FieldInfo) -> str:
    """The default as it would be written in a shell; empty where there is none."""
    value: Any = field.default
    if value is PydanticUndefined or value is None or value == "":
        return ""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(annotation: Any) -> Any:
    """The type without None and annotations."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _number(kind: type, unit: str | None) -> str:
    if unit is not None:
        return unit if kind is float else f"a whole number of {unit}"
    return "a whole number" if kind is int else "a number"


def _range(field: FieldInfo) -> str:
    bounds = {
        name: getattr(each, name) for each in field.metadata for name in ("ge", "gt", "le", "lt") if hasattr(each, name)
    }
    low = f"{bounds['ge']:,}" if "ge" in bounds else f"above {bounds['gt']:,}" if "gt" in bounds else None
    high = f"{bounds['le']:,}" if "le" in bounds else None
    low, high = (text.replace(",", "") if text else None for text in (low, high))
    if low and high:
        return f" from {low} to {high}" if "ge" in bounds else f" {low}, at most {high}"
    if low:
        return f", {low} or more" if "ge" in bounds else f" {low}"
    return f", at most {high}" if high else ""


def _choice(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
