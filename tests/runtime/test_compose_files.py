"""What the Compose files say, held against each other; nothing is started."""

from __future__ import annotations

import yaml

from tests.homes import ROOT


def test_on_a_gpu_one_image_does_all_that_training_code_does() -> None:
    """A service that the GPU file forgot would ask for the CPU's image, which nobody built on that machine."""
    plain, gpu = (
        yaml.safe_load((ROOT / name).read_text())["services"]
        for name in ("docker-compose.yml", "docker-compose.gpu.yml")
    )
    of_train = {name for name, service in plain.items() if service.get("image") == plain["train"]["image"]}
    assert {"train", "export", "release", "evaluate", "metrics"} <= of_train
    for name in of_train:
        found = (gpu.get(name, {}).get("image"), gpu.get(name, {}).get("build"))
        assert found == (gpu["train"]["image"], gpu["train"]["build"]), name


def test_a_file_of_alerts_is_never_taken_for_a_volume() -> None:
    """Plain Compose too takes `SEAMLINE_ALERTS=alerts.yml`, and makes no folder of a file that is not there."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    mount = services["alertmanager"]["volumes"][0]
    assert (mount["type"], mount["bind"]["create_host_path"]) == ("bind", False)
