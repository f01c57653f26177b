"""What the compose files promise, read from `docker compose config`: nothing is started."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest
from project import ROOT, Project

FILES: dict[str, tuple[str, ...]] = {
    "default": ("compose.yaml",),
    "server": ("compose/server.yaml",),
    "embedded": ("compose/embedded.yaml",),
    "cluster": ("compose/cluster.yaml",),
    "monitoring": ("compose.yaml", "compose/monitoring.yaml"),
    "tls": ("compose.yaml", "compose/tls.yaml"),
}


def compose_is_there() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None
        and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    )


@pytest.fixture(scope="module", params=FILES)
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not compose_is_there():
        pytest.skip("needs the compose plugin of Docker: https://docs.docker.com/compose/install")
    certificate = tmp_path_factory.mktemp("tls") / "certificate.pem"
    certificate.touch()
    settings = {"TLS_CERTIFICATE": str(certificate), "GRAFANA_PASSWORD": "given"}
    return Project(FILES[request.param], "memory", settings=settings).config()


def test_every_service_is_locked_down_and_bounded(config: dict[str, Any]) -> None:
    for name, service in config["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert int(service["mem_limit"]) > 0, name
        assert service["pids_limit"] > 0, name
        assert service["logging"]["options"]["max-size"], name
        assert "privileged" not in service, name
        if name != "adopt":
            assert "cap_add" not in service, name
            assert service.get("user", "1000:1000") != "0:0", name


def test_only_tls_is_published_beyond_this_machine(config: dict[str, Any]) -> None:
    for name, service in config["services"].items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1" or name == "tls", name


def test_qdrant_is_on_an_internal_network_alone_and_publishes_nothing(config: dict[str, Any]) -> None:
    nodes = {name: service for name, service in config["services"].items() if service["image"].startswith("qdrant/")}
    for name, node in nodes.items():
        assert "ports" not in node, name
        assert list(node["networks"]) == ["storage"], name
        assert not [variable for variable in node["environment"] if "KEY" in variable], name
        volumes = {volume["target"]: volume for volume in node["volumes"]}
        assert volumes["/qdrant/storage"]["type"] == "volume", "where Qdrant really writes"
        assert volumes["/config"]["read_only"] is True
    if nodes:
        assert config["networks"]["storage"]["internal"] is True


def test_nothing_starts_before_qdrant_is_known_to_be_closed(config: dict[str, Any]) -> None:
    services = config["services"]
    if not any(service["image"].startswith("qdrant/") for service in services.values()):
        pytest.skip("no Qdrant in this file")
    last = "qdrant-3" if "qdrant-3" in services else "qdrant"
    assert services["memory"]["depends_on"][last]["condition"] == "service_healthy"


def test_images_are_named_with_versions_or_built(config: dict[str, Any]) -> None:
    for name, service in config["services"].items():
        built = ("build" in service and service["pull_policy"] == "build") or name == "adopt"
        tag = service["image"].partition(":")[2]
        assert built or (tag and tag != "latest"), name


def test_no_file_holds_a_secret(config: dict[str, Any]) -> None:
    for service in config["services"].values():
        given = {name: value for name, value in (service.get("environment") or {}).items() if value is not None}
        secrets = [name for name in given if name.endswith(("_KEY", "_PASSWORD", "_TOKEN"))]
        assert not secrets


def test_every_long_running_service_has_a_health_check_a_restart_policy_and_time_to_end(config: dict[str, Any]) -> None:
    for name, service in config["services"].items():
        if service.get("restart") == "no":
            continue
        assert service["restart"] == "unless-stopped", name
        assert "stop_grace_period" in service, name
        own_image = service["image"] == "memory"
        assert own_image or "test" in service["healthcheck"], name


def test_every_file_is_tried_here() -> None:
    tried = {file for files in FILES.values() for file in files}
    assert tried == {"compose.yaml", *(str(path.relative_to(ROOT)) for path in (ROOT / "compose").glob("*.yaml"))}
