"""What decides the last bit of an answer besides plan and network: versions of packages, and the processor."""

import platform
from importlib.metadata import version

DECIDING_PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "simplejpeg")


def deciding_versions() -> dict[str, str]:
    """The installed versions of the packages that decode and compute."""
    return {name: version(name) for name in DECIDING_PACKAGES}


def processor() -> str:
    """The processor's name as Linux has it, or else its architecture."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()
