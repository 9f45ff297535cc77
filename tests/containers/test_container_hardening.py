"""What a container may do, and what is in its image: looked at from the inside and by the engine, not assumed."""

from __future__ import annotations

import re

import pytest

from tests.containers.job import STAND_IN, Job

pytestmark = pytest.mark.slow

WRITABLE = {
    "train": {"/tmp", "/data", "/runs"},
    "export": {"/tmp", "/runs", "/models"},
    "evaluate": {"/tmp"},
    "release": {"/tmp", "/models"},
    "serve": {"/tmp"},
    "client": set(),
    "gateway": {"/tmp", "/gateway"},
}
INTERFACES = {"train": 0, "evaluate": 0, "export": 1, "release": 1, "serve": 2, "client": 1, "gateway": 2}
"""Beside the loopback: whatever train and evaluate are given, there is nobody to send it to."""
SCRIPT = r"""
id -u; grep -h CapEff /proc/1/status; grep -h NoNewPrivs /proc/1/status
for folder in / /tmp /data /runs /models /gateway /photos /seamline /opt/venv \
    /etc /usr/bin /var/tmp /dev/shm "$HOME"; do
  [ -d "$folder" ] && touch "$folder/written" 2>/dev/null && echo "writable $folder"
done
for each in /sys/class/net/*; do echo "interface $each"; done
[ -e /var/run/docker.sock ] && echo "the engine's socket"
true
"""
CODE = {
    "train": {"garments", "model", "pipeline", "seamline_client"},
    "serve": {"model_server"},
    "client": {"seamline_client"},
    "gateway": {"client", "pipeline", "seamline_client"},
}


@pytest.mark.parametrize("service", WRITABLE)
def test_what_a_container_may_do(built: Job, service: str) -> None:
    """User 10001, no capability, no new privileges, no place to write but volumes and /tmp, no needless network.

    Only export has the engine's socket, which is as good as being root on the host: neither the services that decode
    photos of any origin nor those that stay up have it.
    """
    said = built.inside(service, SCRIPT)
    assert re.search(r"^10001$", said, re.MULTILINE)
    assert re.search(r"^CapEff:\s*0{16}$", said, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s*1$", said, re.MULTILINE)
    # /dev/shm is memory that the engine gives each container.
    assert set(re.findall(r"^writable (\S+)$", said, re.MULTILINE)) - {"/dev/shm"} == WRITABLE[service]
    interfaces = set(re.findall(r"^interface /sys/class/net/(\S+)$", said, re.MULTILINE))
    assert len(interfaces - {"lo"}) == INTERFACES[service]
    assert ("the engine's socket" in said) == (service == "export")


@pytest.mark.parametrize("service", CODE)
def test_an_image_holds_our_code_and_none_of_our_files(built: Job, service: str) -> None:
    """No git history, no environment files, keys, photos, checkpoints or tests; the client has no TensorFlow.

    Labelled, not root, and the client has at most 200 MB. With -s the sizes are printed.
    """
    image = f"{built.name}-{service}"
    known = built.inspect(image)
    assert known["Config"]["Labels"]["org.opencontainers.image.title"] == f"seamline-{service}"
    assert known["Config"]["User"] == "10001:10001"
    print(f"{service}: {known['Size'] / 1e6:.0f} MB")
    assert service != "client" or known["Size"] < 200e6

    def listed(script: str) -> list[str]:
        """From the image alone, with no volume of anybody's in sight."""
        command = ("docker", "run", "--rm", "--entrypoint", "sh", image, "-c", f"{script} 2>/dev/null; true")
        return built.run(*command).split()

    expected = CODE[service] if service != "serve" or built.environment["SERVING_IMAGE"] == STAND_IN else set()
    files = listed("find /seamline /data /runs /models /gateway /photos -type f")
    assert {file.split("/")[2] for file in files if file.startswith("/seamline")} == expected
    code = rf"/seamline/({'|'.join(expected)})/[\w/]+\.(py|pyi|proto|typed)"
    page = r"client/page/\w+\.(css|html|js|svg)"
    data = r"model/starter/weights\.npz|pipeline/data/clothing/(train|val)\.csv|seamline_client/garments\.json"
    assert [file for file in files if not re.fullmatch(f"{code}|/seamline/({data}|{page})", file)] == []
    names = (".git", ".env", "id_rsa*", "*.ckpt*", "packages.lock", ".netrc", "pip.conf", "signing")
    assert listed(f"find / -xdev {' -o '.join(f'-name {name!r}' for name in names)}") == []
    assert service != "client" or not listed("ls -d /opt/venv/lib/python3*/site-packages/tensorflow*")
