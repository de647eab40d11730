"""Reads what decides the last bit of an answer besides plan and network: packages' versions, and the processor."""

import platform
import re
from importlib.metadata import version

DECIDING_PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "simplejpeg")


def deciding_versions() -> dict[str, str]:
    """Returns the installed versions of the packages that decode and compute.

    >>> sorted(deciding_versions())
    ['keras', 'numpy', 'opencv-python-headless', 'pillow', 'simplejpeg', 'tensorflow']
    """
    return {name: version(name) for name in DECIDING_PACKAGES}


def processor() -> str:
    """Returns the processor's name as Linux has it, or else its architecture."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def processor_flags() -> list[str]:
    """Returns what the processor can do with vectors and matrices, in Linux's words; nothing elsewhere.

    By these the libraries choose their code, and with it the last bits of an answer.
    """
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.split(":", 1)[1] for line in file if line.startswith(("flags", "Features"))]
    except OSError:
        lines = []
    return sorted(set(re.findall(r"\b(?:avx|amx|fma|sve|asimd|bf16)\w*", lines[0]))) if lines else []
