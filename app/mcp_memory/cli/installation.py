"""What `memory doctor` says of the installation itself, also where it can't import what it needs. Standard library only."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict

from mcp_memory import __version__
from mcp_memory.cli.findings import Finding, Verdict
from mcp_memory.domain.errors import ConfigurationError
from mcp_memory.native import PACKAGES, advice, elf_problem, missing_packages, native_files

LOAD_SECONDS = 120
SHOWN = 3
"""Files that are named one by one."""


def machine() -> Finding:
    page = f", pages of {os.sysconf('SC_PAGE_SIZE') // 1024} KiB" if hasattr(os, "sysconf") else ""
    detail = f"memory {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}{page}"
    if sys.maxsize <= 2**32:
        return Finding("Machine", Verdict.FAILED, detail, "Install a 64-bit Python: the engine has no 32-bit build.")
    return Finding("Machine", Verdict.OK, detail)


def native_libraries() -> Finding:
    """Every compiled file of the libraries is made for this machine: a wheel once shipped a 32-bit one for ARM64."""
    if missing := missing_packages():
        return Finding("Libraries", Verdict.FAILED, f"not installed: {', '.join(missing)}", advice())
    paths = list(native_files())
    if wrong := [problem for path in paths if (problem := elf_problem(path)) is not None]:
        rest = [f"and {len(wrong) - SHOWN} more"] if len(wrong) > SHOWN else []
        return Finding("Libraries", Verdict.FAILED, "\n".join(wrong[:SHOWN] + rest), advice())
    return Finding("Libraries", Verdict.OK, f"{len(paths)} compiled files, all made for {platform.machine()}")


def libraries_load() -> Finding:
    """In a process of its own: a library that doesn't fit may end the process that loads it."""
    code = f"import {', '.join(PACKAGES)}; print(onnxruntime.__version__)"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=LOAD_SECONDS
        )
    except subprocess.TimeoutExpired:
        return Finding("Engine", Verdict.FAILED, f"the libraries don't load within {LOAD_SECONDS} s", advice())
    if done.returncode == 0:
        return Finding("Engine", Verdict.OK, "qdrant-edge and ONNX Runtime load")
    said = [line for line in done.stderr.splitlines() if line.startswith(("ImportError", "ModuleNotFoundError"))]
    why = (said or done.stderr.strip().splitlines()[-1:] or [f"ended by signal {-done.returncode}"])[0]
    return Finding("Engine", Verdict.FAILED, why, advice())


def report_without_libraries(problem: ConfigurationError, *, as_json: bool) -> None:
    """`memory doctor` where its own imports fail: what can be said without them."""
    findings = [machine(), native_libraries(), libraries_load()]
    findings.append(Finding("Settings", Verdict.FAILED, f"not looked at: {problem.message.splitlines()[0]}"))
    if as_json:
        print(json.dumps({"healthy": False, "checks": [asdict(finding) for finding in findings]}))
        return
    for finding in findings:
        print(f"{finding.verdict:<8}{finding.line()}")
    failed = sum(finding.verdict is Verdict.FAILED for finding in findings)
    print(f"\n{failed} checks failed.")
