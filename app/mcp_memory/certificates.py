"""The certificate authorities of `SSL_CERT_FILE` and `SSL_CERT_DIR`, which TLS libraries read when a client is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mcp_memory.domain.errors import ConfigurationError


def check_certificate_files(environ: Mapping[str, str] | None = None) -> None:
    """Raises ConfigurationError where one of them is set and isn't there: a client would end with a traceback."""
    source = os.environ if environ is None else environ
    for name, kind, exists in (("SSL_CERT_FILE", "file", Path.is_file), ("SSL_CERT_DIR", "folder", Path.is_dir)):
        value = source.get(name)
        if value and not exists(Path(value)):
            raise ConfigurationError(
                f"{name}: there is no {kind} {value}. Unset {name} to use the usual certificate authorities, or give the "
                f"{kind} that holds yours."
            )
