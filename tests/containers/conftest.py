"""Suites of several real containers: our image, Qdrant's, one network a test, on each architecture (`make test-containers`).

    def test_x(world: World, figures: Figures) -> None:
        qdrant = world.qdrant()                        # or: one, two, three = world.cluster()
        service = world.service(qdrant, MCP_BREAKER_SECONDS="2")
        with service.client() as http: ...             # httpx, with the key, on a loopback port that the engine chose
        qdrant.kill(); qdrant.start_again()            # kill -9; also stop_gracefully, pause/unpause, disconnect/reconnect
        kill(qdrant, service)                          # at the same moment (containers.running)
        figures("searches, p95", 12.3, "ms")           # a line of the run's summary

    world.on                    the architecture: `world.on.service.native` is False under emulation, where sizes are smaller
    world.proxy()               in front of every service() that the world has; both replicas are called `memory`
    world.embedding_endpoint()  the real model natively: world.service(qdrant, **endpoint.settings()); `dimensions=256` makes
                                another model of another size, of the same weights
    world.memory("migrate", "sqlite", ..., qdrant=(qdrant,), mounts={source: "/source:ro"})
                                a command in a container of its own, to its end; `begin` it to kill it in the middle
    world.volume_with(file)     a volume with copies of files, for mounts; world.in_volume(volume, "sha256sum *") looks inside
    qdrant.client()             qdrant-client past the service; `wait_for_replicas` of qdrant_server takes nodes from here
    service.url                 of this start: a container that is started again gets another port; so do those reconnected

Everything is removed at the test's end, volumes too; what a run that was killed leaves, the next one removes. Logs of a failed
test's containers are printed. Options: --platform linux/arm64, --require-containers. Images: TEST_IMAGE, TEST_PROXY_IMAGE,
else mcp-memory:dev or :local. Under emulation our image is emulated (QEMU_CPU=cortex-a76); Qdrant too where its image is there
for that platform, and natively otherwise, which counts as run and is said in the summary.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from containers.architecture import architecture
from containers.leftovers import remove_leftovers
from containers.report import FIGURE, IMAGES, PLATFORM, Figures, lines, outcomes, shown
from containers.world import World
from engine import NATIVE, PLATFORMS, engine_answers
from outcome import failed

HERE = Path(__file__).parent
TEST_SECONDS, EMULATED_TEST_SECONDS = 600, 1800


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("containers")
    group.addoption(
        "--platform", action="append", choices=[*PLATFORMS, "native"], help="only this platform; may be given twice"
    )
    group.addoption("--require-containers", action="store_true", help="what would be skipped fails instead")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "platform" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--platform", default=None) or PLATFORMS
        platforms = [NATIVE if platform == "native" else platform for platform in asked]
        metafunc.parametrize("platform", dict.fromkeys(platforms), scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A skip is a failure where containers are required."""
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and item.config.getoption("--require-containers", default=False)
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped, and --require-containers is given: {report.longrepr[2]}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every report knows its platform; what names no time-out of its own has one for starts of containers."""
    for item in items:
        if item.path.is_relative_to(HERE) and isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            platform = item.callspec.params.get("platform", "")
            item.user_properties.append((PLATFORM, platform))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TEST_SECONDS if platform == NATIVE else EMULATED_TEST_SECONDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    told = list(lines(outcomes(report for report in reports if isinstance(report, pytest.TestReport))))
    if told:
        terminalreporter.section("containers")
        for line in told:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def leftovers() -> None:
    """What runs before this one couldn't remove."""
    if engine_answers():
        for name in remove_leftovers():
            print(f"removed {name}, left by a run that is gone")


@pytest.fixture
def world(platform: str, request: pytest.FixtureRequest) -> Iterator[World]:
    """A network, and what the test starts in it; skips where the platform's images aren't there."""
    world = World(architecture(platform))
    try:
        yield world
    finally:
        request.node.user_properties.append((IMAGES, str(world)))
        world.close(show_logs=failed(request))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Notes a measured value for the run's summary."""

    def note(name: str, value: float | str, unit: str = "") -> None:
        request.node.user_properties.append((FIGURE, f"{name}: {shown(value)} {unit}".rstrip()))

    return note
