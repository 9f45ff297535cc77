"""What Docker, the NVIDIA Container Toolkit and nvidia-smi say where a GPU cannot be used, and what that means."""

CONFIGURE = """sudo nvidia-ctk runtime configure --runtime=docker
  sudo systemctl restart docker"""
_TOOLKIT = f"""the engine has no driver for NVIDIA GPUs. Install the NVIDIA Container Toolkit, then
  {CONFIGURE}"""
_SETTINGS = "/etc/nvidia-container-runtime/config.toml"
_HOST = "`nvidia-smi` has to work on this machine itself first"

GPU_REASONS = (
    ("could not select device driver", _TOOLKIT),
    ("unknown or invalid runtime", _TOOLKIT),
    (
        "unresolvable CDI devices",
        "the engine's list of GPUs is missing or old: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
    ),
    (
        "bpf_prog_query",
        f"a rootless engine may not change cgroups: set no-cgroups = true under [nvidia-container-cli] in {_SETTINGS}",
    ),
    (
        "WSL environment detected but no adapters were found",
        "Windows shows WSL no NVIDIA GPU: install NVIDIA's driver in Windows (none in WSL), then wsl --update and "
        "wsl --shutdown",
    ),
    ("unsatisfied condition: cuda", "the driver is too old for the image: install 535 or newer"),
    ("is not a valid field to query", "the driver is too old: install 535 or newer"),
    (
        "ldcache error",
        f"the toolkit cannot run ldconfig: set ldconfig under [nvidia-container-cli] in {_SETTINGS} to this machine's, "
        '"@/sbin/ldconfig", or "@/sbin/ldconfig.real" on Ubuntu',
    ),
    ("version mismatch", "the driver's library and its kernel module differ: restart the machine"),
    (
        "Failed to initialize NVML: Insufficient Permissions",
        "the container may not open the GPU's devices; where SELinux is on: sudo setsebool -P container_use_devices on",
    ),
    (
        "Failed to initialize NVML: Unknown Error",
        "the container lost the GPU's devices, as after `systemctl daemon-reload`: try again, and if it stays, "
        "sudo nvidia-ctk system create-dev-char-symlinks --create-all",
    ),
    ("No devices were found", f"the driver finds no GPU: {_HOST}"),
    ("couldn't communicate with the NVIDIA driver", f"the driver does not answer: {_HOST}"),
    ("libnvidia-ml.so", f"the toolkit finds no NVIDIA driver: {_HOST}"),
    ("nvml error", f"the driver does not answer: {_HOST}"),
    ("nvidia-smi", "the toolkit did not bring nvidia-smi in: is `utility` among its driver capabilities?"),
)
"""Signs and their meanings; of several that fit, the first."""
