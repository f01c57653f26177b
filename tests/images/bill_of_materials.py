"""Stands in for the image that writes bills of materials, where that can't be had: packages of Debian and of Python, as SPDX.

BuildKit runs it with BUILDKIT_SCAN_SOURCE (the image's files) and BUILDKIT_SCAN_DESTINATION (where the document is wanted).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path


def packages(root: Path) -> Iterator[tuple[str, str]]:
    """Names and versions of what is installed."""
    status = root / "var/lib/dpkg/status"
    stanzas = status.read_text().split("\n\n") if status.exists() else []
    metadata = (
        path.read_text(errors="replace") for path in root.glob("app/.venv/lib/*/site-packages/*.dist-info/METADATA")
    )
    for text in (*stanzas, *metadata):
        fields = HeaderParser().parsestr(text)
        name = fields["Package"] or fields["Name"]
        if name:
            yield name, fields["Version"]


if __name__ == "__main__":
    source = Path(os.environ["BUILDKIT_SCAN_SOURCE"])
    document = {
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": source.name,
        "packages": [
            {"SPDXID": f"SPDXRef-{number}", "name": name, "versionInfo": version}
            for number, (name, version) in enumerate(sorted(packages(source)))
        ],
    }
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://spdx.dev/Document",
        "predicate": document,
    }
    (Path(os.environ["BUILDKIT_SCAN_DESTINATION"]) / f"{source.name}.spdx.json").write_text(json.dumps(statement))
