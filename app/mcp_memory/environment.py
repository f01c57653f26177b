"""The environment as every part of the service reads it: one meaning for empty, quoted and padded values.

Standard library only: the health check and the command line read it before anything else is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

_QUOTES = ("'", '"')


def value_of(name: str, environ: Mapping[str, str] | None = None) -> str | None:
    """The value of a variable, or None where it is missing, empty or blank.

    White space around it goes (a carriage return is what an environment file from Windows leaves), and so does one pair of
    quotes, which `docker run --env-file` keeps where a shell would take them away.
    """
    return cleaned((os.environ if environ is None else environ).get(name))


def cleaned(value: str | None) -> str | None:
    """As `value_of`, of a value that was read already."""
    text = (value or "").strip()
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == text[0]:
        text = text[1:-1].strip()
    return text or None


def given(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Every variable that has a value, cleaned."""
    source = os.environ if environ is None else environ
    return {name: value for name in source if (value := value_of(name, source)) is not None}
