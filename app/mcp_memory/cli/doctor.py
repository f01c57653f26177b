"""`memory doctor`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcp_memory.cli import exits
from mcp_memory.cli.findings import INDENT, Finding, Verdict
from mcp_memory.cli.options import AsJson
from mcp_memory.cli.output import count, emit, print_json
from mcp_memory.cli.service import LONG_SECONDS, service
from mcp_memory.domain.errors import ConfigurationError, MemoryServiceError

if TYPE_CHECKING:
    from mcp_memory.config import Settings

_BASIC = {"Libraries", "Engine", "Settings"}
"""Where one of these fails a server wouldn't start (78), and the service isn't asked."""
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def doctor(
    recall: Annotated[
        int | None,
        typer.Option(min=1, max=10_000, help="Also measure recall@10 against exact search, over so many memories."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look at the installation only; start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the installation, the store and the service.

    Says what to do about what is wrong.
    """
    findings: list[Finding] = []
    report: dict[str, Any] = {}
    show = (lambda _: None) if as_json else _print
    for finding in _look():
        findings.append(finding)
        show(finding)
    if not offline and not any(finding.name in _BASIC and finding.verdict is Verdict.FAILED for finding in findings):
        for finding in asyncio.run(_service(recall, report)):
            findings.append(finding)
            show(finding)
    worst = [finding for finding in findings if finding.verdict == "failed"]
    if as_json:
        print_json({"healthy": not worst, "checks": [asdict(finding) for finding in findings], **report})
    elif worst:
        print(f"\n{count(len(worst), 'check', 'checks')} failed.")
    if worst:
        raise typer.Exit(exits.EX_CONFIG if any(finding.name in _BASIC for finding in worst) else exits.FAILURE)


def _look() -> Iterator[Finding]:
    from mcp_memory.cli import checks, installation  # noqa: PLC0415 - for this command only
    from mcp_memory.config import load_settings  # noqa: PLC0415
    from mcp_memory.logs import configure_logs  # noqa: PLC0415
    from mcp_memory.owner.identity import identify  # noqa: PLC0415
    from mcp_memory.owner.nearby import older_stores  # noqa: PLC0415

    yield installation.machine()
    libraries = [installation.native_libraries(), installation.libraries_load()]
    yield from libraries
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield Finding("Settings", Verdict.FAILED, error.message)
        return
    configure_logs(settings)  # what a check warns of goes to stderr
    problems = list(checks.start_checks(settings))
    if not any(finding.name == "Settings" and finding.verdict is Verdict.FAILED for finding in problems):
        yield checks.settings_given(settings)
    yield from (finding for finding in problems if finding.name not in {"Folder", "Space"})
    store = identify(settings)
    shown = {finding.name for finding in problems}
    yield from (finding for finding in problems if finding.name in {"Folder", "Space"})
    if any(finding.verdict is Verdict.FAILED for finding in libraries):
        return  # a look into the folder would load the engine
    yield from (finding for finding in checks.folder(settings, store) if finding.name not in shown)
    yield checks.owner(store)
    yield from checks.other_accounts(settings)
    if _never_used(settings):
        for notice in older_stores(settings):
            yield Finding("Nearby", Verdict.WARNING, notice)


def _never_used(settings: Settings) -> bool:
    return not (settings.qdrant_path / "manifest.json").exists()


async def _service(recall: int | None, report: dict[str, Any]) -> list[Finding]:
    """What only the running service can tell: model, storage, recall."""
    from mcp_memory.config import load_settings  # noqa: PLC0415
    from mcp_memory.owner.nearby import older_stores  # noqa: PLC0415

    try:
        async with service() as remote:
            health = await remote.get("/api/health/detailed")
            model = await remote.get("/api/health/model")
            storage = health["storage"]
            good = storage["status"] == "healthy"
            detail = (
                f"{storage['backend']}, {count(storage['total_memories'] or 0)}" if good else str(storage["message"])
            )
            findings = [
                Finding("Model", Verdict.OK, f"{model['model']}, {model['dimensions']} dimensions"),
                Finding("Storage", Verdict.OK if good else Verdict.FAILED, detail),
            ]
            settings = load_settings()
            if good and not storage["total_memories"] and not _never_used(settings):
                findings += [Finding("Nearby", Verdict.WARNING, notice) for notice in older_stores(settings)]
            if recall is not None:
                measured = await remote.get("/internal/recall", {"samples": recall}, seconds=LONG_SECONDS)
                report["recall"] = measured
                stored = await remote.get("/api/storage/stats")
                findings.append(_recall(measured, _wanted_recall(stored)))
    except MemoryServiceError as error:
        return [Finding("Service", Verdict.FAILED, error.message)]
    return findings


def _wanted_recall(stored: dict[str, Any]) -> float:
    """What is promised: .95 with binary quantization, .99 without."""
    return 0.95 if (stored.get("details") or {}).get("quantization") in ("binary", "turbo2") else 0.99


def _recall(measured: dict[str, Any], wanted: float) -> Finding:
    detail = f"recall@{measured['k']} {measured['recall']:.4f} over {count(measured['samples'])}"
    good = measured["recall"] >= wanted or not measured["samples"]
    advice = None if good else f"At least {wanted} is wanted. Measure again and search harder:  memory optimize"
    return Finding("Recall", Verdict.OK if good else Verdict.WARNING, detail, advice)


def _print(finding: Finding) -> None:
    emit((f"{finding.verdict:<8}", _STYLES[finding.verdict]), (finding.line(), ""), hang=INDENT)
