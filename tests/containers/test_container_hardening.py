"""What a container may do, and what is in its image: looked at from the inside and by the engine, not assumed."""

from __future__ import annotations

import re

import pytest

from tests.containers.job import Job

SERVICES = ("train", "evaluate", "export", "release", "serve", "client")
WRITABLE = {
    "train": {"/tmp", "/data", "/runs"},
    "export": {"/tmp", "/runs", "/models"},
    "evaluate": {"/tmp"},
    "release": {"/tmp", "/models"},
    "serve": {"/tmp"},
    "client": {"/tmp"},
}
SCRIPT = """
id -u; grep -h CapEff /proc/1/status; grep -h NoNewPrivs /proc/1/status
for folder in / /tmp /data /runs /models /photos /seamline /opt/venv /etc /usr/bin /var/tmp /dev/shm "$HOME"; do
  [ -d "$folder" ] && touch "$folder/written" 2>/dev/null && echo "writable $folder"
done
true
"""


@pytest.mark.parametrize("service", SERVICES)
def test_no_root_no_capability_nothing_to_write_on(job: Job, service: str) -> None:
    """User 10001, an empty set of capabilities, no new privileges, and no place to write but volumes and /tmp."""
    said = job.inside(service, SCRIPT)
    assert re.search(r"^10001$", said, re.MULTILINE)
    assert re.search(r"^CapEff:\s*0{16}$", said, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s*1$", said, re.MULTILINE)
    # /dev/shm is memory that the engine gives each container.
    assert set(re.findall(r"^writable (\S+)$", said, re.MULTILINE)) - {"/dev/shm"} == WRITABLE[service]


def test_what_the_engine_says_of_the_server(job: Job) -> None:
    """The running one: read-only root, models mounted read-only, limits, loopback ports, a health that is real."""
    known = job.inspect(job.server())
    host = known["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    assert host["Init"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}
    assert [(mount["Destination"], mount["RW"]) for mount in known["Mounts"]] == [("/models", False)]
    bindings = [each for port in known["NetworkSettings"]["Ports"].values() for each in port or []]
    assert {each["HostIp"] for each in bindings} == {"127.0.0.1"}
    assert known["State"]["Health"]["Status"] == "healthy"


def test_only_export_has_the_engines_socket(job: Job) -> None:
    """It is as good as being root on the host: the service that decodes photos and those that stay up have none."""
    found = {each for each in SERVICES if "there" in job.inside(each, "ls /var/run/docker.sock && echo there; true")}
    assert found == {"export"}


@pytest.mark.parametrize("service", ["train", "evaluate"])
def test_what_reads_photos_has_no_network(job: Job, service: str) -> None:
    """Whatever it is given: there is nobody to send them to but the loopback."""
    assert job.inside(service, "ls /sys/class/net").split() == ["lo"]


def test_the_health_check_is_not_fooled_by_an_open_port(job: Job) -> None:
    """A model that is not there: the port answers 404, and the check fails."""
    container = job.server()
    job.run("docker", "exec", container, "bash", "/etc/seamline/healthy.bash")
    job.run("docker", "exec", "--env", "MODEL_NAME=other", container, "bash", "/etc/seamline/healthy.bash", code=1)


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("train", {"client", "model", "pipeline"}),
        ("serve", {"model_server"}),
        ("client", {"client", "model"}),
    ],
)
def test_an_image_holds_our_code_and_none_of_our_files(built: Job, service: str, expected: set[str]) -> None:
    """No git history, no environment files, keys, photos, checkpoints or tests; the client has no TensorFlow."""
    image = f"{built.name}-{service}"

    def listed(script: str) -> str:
        """From the image alone, with no volume of anybody's in sight."""
        return built.run("docker", "run", "--rm", "--entrypoint", "sh", image, "-c", f"{script} 2>/dev/null; true")

    files = listed("find /seamline /data /runs /models /photos /home /root -type f")
    ours = [line for line in files.split() if line.startswith(("/seamline", "/data", "/runs", "/models", "/photos"))]
    assert {line.split("/")[2] for line in ours if line.startswith("/seamline")} == expected
    code = r"/seamline/(client|model|model_server|pipeline)/[\w/]+\.(py|pyi|proto|typed)"
    shipped = r"/seamline/(model/starter/weights\.npz|pipeline/dataset/garments/(train|val)\.csv)"
    assert [line for line in ours if not re.fullmatch(f"{code}|{shipped}", line)] == []
    everywhere = listed(
        "find / -xdev \\( -name .git -o -name .env -o -name 'id_rsa*' -o -name '*.ckpt*' -o -name packages.lock "
        "-o -name .netrc -o -name pip.conf \\)",
    )
    assert [line for line in everywhere.split() if line.startswith("/")] == []
    if service == "client":
        assert "tensorflow" not in listed("ls /opt/venv/lib/python3*/site-packages")


def test_the_images_are_labelled_and_their_sizes_are_known(built: Job) -> None:
    """Printed with -s; the client has at most 200 MB."""
    sizes = {}
    for service in ("train", "serve", "client"):
        known = built.inspect(f"{built.name}-{service}")
        assert known["Config"]["Labels"]["org.opencontainers.image.title"] == f"seamline-{service}"
        assert known["Config"]["User"] == "10001:10001"
        sizes[service] = known["Size"] / 1e6
        print(f"{service}: {sizes[service]:.0f} MB")
    base = built.inspect(built.environment["PYTHON_IMAGE"])["Size"] / 1e6
    print(f"of which the base image: {base:.0f} MB")
    assert sizes["client"] < 200
