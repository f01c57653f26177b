#!/usr/bin/env python3
"""Change the code in small ways, run the unit tests on each change, and print the changes that no test noticed.

usage: mutants.py FOLDER MUTMUT SECONDS [PATTERN ...]

FOLDER is made anew: the package as `src/mcp_memory`, which is where mutmut expects one, with tests and settings beside it. MUTMUT
is the program. After SECONDS it is ended, and what it found so far is printed; with 0 seconds, what is in FOLDER from a run
before. PATTERN: names of mutants to run (`mcp_memory.domain.tags*`); without any, all of MUTATED.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MUTATED = (
    "domain/*",
    *(
        f"migration/{name}.py"
        for name in (
            "checkpoint", "copied", "differences", "estimate", "files", "kept_vectors", "plan", "progress", "report",
            "validation", "sources/base", "sources/detect", "sources/json_export", "sources/json_stream",
            "sources/pickled_points", "sources/qdrant_local", "sources/sqlite_report", "sources/sqlite_schema",
        )
    ),
    "storage/breaker.py",
    "storage/circuit.py",
)  # fmt: skip
"""What decides by itself. Modules that move data between disk and server are held by kills and faults in tests/reliability."""
TESTS = (
    "tests/unit/domain",
    "tests/unit/migration",
    "tests/unit/test_breaker.py",
    "tests/unit/test_breaker_machine.py",
    "tests/unit/test_storage_wrappers.py",
)
LEFT_OUT = "kill_9 or whatever_a_database_holds"
"""One starts processes of its own, and a mutant lives in the process that tests it; the other takes ten seconds each time."""
TEXT = r"^\s*(f?\"|log\.|raise \w+\()"
"""Lines that are only words for people: a test that fixes each of them would fail at every better wording."""
TEST_SECONDS = 60
"""A mutant may wait for ever."""
KILLED, SURVIVED, UNTESTED, INVALID = "killed", "survived", "no test", "not valid"
OUTCOMES = {0: SURVIVED, 5: UNTESTED, 33: UNTESTED, 34: INVALID, 37: INVALID, None: "not run"}
"""By the exit code that mutmut keeps; every other is a failed test, a crash or a test that never ended."""
ORDER = (KILLED, SURVIVED, UNTESTED, INVALID, "not run")


def prepare(folder: Path) -> None:
    """The copy that mutmut works on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    without_bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "app" / "mcp_memory", folder / "src" / "mcp_memory", ignore=without_bytecode)
    for name in ("tests", "scripts", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=without_bytecode)
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = tests\nxfail_strict = true\nmarkers =\n    slow: long\n")
    settings = {
        "source_paths": ["src"],
        "only_mutate": [f"src/mcp_memory/{pattern}" for pattern in MUTATED],
        "do_not_mutate_patterns": [TEXT],
        "also_copy": ["pytest.ini", "scripts", "docs"],
        "pytest_add_cli_args_test_selection": list(TESTS),
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-k", f"not ({LEFT_OUT})", f"--timeout={TEST_SECONDS}"],
        "timeout_multiplier": 5.0,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    (folder / "pyproject.toml").write_text("\n".join(["[tool.mutmut]", *lines, ""]))


def outcomes(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Module, mutant and what became of it."""
    for file in sorted((folder / "mutants" / "src").rglob("*.py.meta")):
        module = str(file.relative_to(folder / "mutants" / "src" / "mcp_memory")).removesuffix(".py.meta")
        for mutant, code in json.loads(file.read_text())["exit_code_by_key"].items():
            yield module, mutant, OUTCOMES.get(code, KILLED)


def change(folder: Path, program: str, mutant: str) -> str:
    """The lines that a mutant takes away and puts in."""
    shown = subprocess.run([program, "show", mutant], cwd=folder, capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in shown.splitlines() if re.match(r"[-+](?![-+]{2} )", line))


def survivors(folder: Path, program: str) -> str:
    """What no test noticed, with the lines that were changed."""
    found = [mutant for _, mutant, outcome in outcomes(folder) if outcome == SURVIVED]
    return "\n".join(f"{mutant}\n{change(folder, program, mutant)}\n" for mutant in found)


def counts(folder: Path) -> str:
    """By module, as Markdown."""
    found = Counter((module, outcome) for module, _, outcome in outcomes(folder))
    head = [f"| module | {' | '.join(ORDER)} |", f"|{'---|' * (1 + len(ORDER))}"]
    rows = [
        f"| {module} | {' | '.join(str(found[module, outcome]) for outcome in ORDER)} |"
        for module in dict.fromkeys(module for module, _ in found)
    ]
    total = [sum(number for (_, one), number in found.items() if one == outcome) for outcome in ORDER]
    return "\n".join([*head, *rows, f"| **all** | {' | '.join(map(str, total))} |"])


def run(folder: Path, program: str, seconds: float, patterns: list[str]) -> None:
    """Until it has ended, or the time is over."""
    command = [program, "run", "--max-children", str(os.cpu_count() or 1), *patterns]
    with (folder / "mutmut.log").open("wb") as log:
        mutmut = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        ended = mutmut.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(mutmut.pid, signal.SIGKILL)  # with the tests that it runs
        mutmut.wait()
        print(f"The time of {seconds:.0f} s is over: some mutants were not run.\n")
    else:
        if ended != 0:
            sys.exit(f"mutmut ended with {ended}; what it says: {folder / 'mutmut.log'}")


def main(folder: Path, program: str, seconds: float, *patterns: str) -> None:
    if seconds:
        prepare(folder)
        run(folder, program, seconds, list(patterns))
    print(counts(folder), end="\n\n", flush=True)
    print(survivors(folder, program))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), str(Path(sys.argv[2]).resolve()), float(sys.argv[3]), *sys.argv[4:])
