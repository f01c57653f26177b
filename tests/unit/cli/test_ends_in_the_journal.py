"""An error that ends a command is one record where stderr is systemd's journal, and the lines of the guide everywhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ENDS = (
    "from mcp_memory.cli.exits import end_with\n"
    "from mcp_memory.domain.errors import ModelChangedError\n"
    "end_with(ModelChangedError(old_model='a', new_model='b', old_dimensions=3, new_dimensions=4))\n"
)


@pytest.mark.parametrize("connected", [True, False])
def test_a_changed_model_is_told_in_one_record_of_the_journal(tmp_path: Path, connected: bool) -> None:
    with (tmp_path / "stderr").open("w+") as stream:
        status = os.fstat(stream.fileno())
        named = f"{status.st_dev}:{status.st_ino if connected else status.st_ino + 1}"
        done = subprocess.run(
            [sys.executable, "-c", ENDS], stderr=stream, env=os.environ | {"JOURNAL_STREAM": named}, check=False
        )
        stream.seek(0)
        lines = stream.read().splitlines()
    assert done.returncode == 78
    if connected:
        (record,) = lines
        assert "changed: a → b" in record
        assert record.endswith("memory migrate model --old-model a --new-model b")
        assert "\\" not in record
    else:
        assert len(lines) > 5
        assert "" in lines
