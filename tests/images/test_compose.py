"""compose.yaml keeps to the compose schema's shape, holds no secret, and starts in an order that can work."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "compose.yaml"
SERVICES = yaml.safe_load(FILE.read_text())["services"]

# The parts of the compose specification that this file uses.
SERVICE_KEYS = {
    *("image", "build", "command", "environment", "volumes", "depends_on", "healthcheck", "ports", "restart"),
    *("profiles", "deploy", "init"),
}
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_uses_known_keys_and_names_what_it_runs(name):
    service = SERVICES[name]
    assert set(service) <= SERVICE_KEYS
    assert "image" in service
    if "build" in service:
        assert (ROOT / service["build"]["dockerfile"]).is_file()
    for other, wanted in service.get("depends_on", {}).items():
        assert wanted["condition"] in CONDITIONS
        if wanted["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "airflow-init"])
def test_every_lasting_service_is_checked(name):
    assert SERVICES[name].get("healthcheck", SERVICES.get("scheduler", {}).get("healthcheck"))["test"]


def test_the_four_components_and_their_services_are_there():
    wanted = {"postgres", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "serve"}
    assert wanted <= set(SERVICES)


def test_ports_are_open_on_the_loopback_only():
    for service in SERVICES.values():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_file_holds_no_secret():
    for line in FILE.read_text().splitlines():
        found = re.match(r"\s+\w*(PASSWORD|SECRET|TOKEN|FERNET_KEY): *(\S+)", line)
        if found:
            assert found[2].startswith("${"), line


def test_the_gpu_is_reserved_by_profile():
    gpu = SERVICES["scheduler-gpu"]
    assert gpu["profiles"] == ["gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_volumes_and_anchors_resolve():
    declared = set(yaml.safe_load(FILE.read_text())["volumes"])
    used = {str(item).partition(":")[0] for service in SERVICES.values() for item in service.get("volumes", [])}
    assert {item for item in used if not item.startswith(".")} == declared
