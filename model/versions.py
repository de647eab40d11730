"""Reads what decides the last bit of an answer besides plan and network: packages' versions, and the processor."""

import functools
import platform
import re
from importlib.metadata import PackageNotFoundError, version

DECIDING_PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "pillow", "simplejpeg")


OPTIONAL_PACKAGES = ("pillow-heif", "pydicom", "python-gdcm")
"""Decoders that not everybody has: who lacks one rejects what others score, so that counts as a version too."""

NOT_INSTALLED = "not installed"


def deciding_versions() -> dict[str, str]:
    """Returns the installed versions of the packages that decode and compute.

    >>> [name for name in deciding_versions() if name not in OPTIONAL_PACKAGES]
    ['tensorflow', 'keras', 'numpy', 'opencv-python-headless', 'pillow', 'simplejpeg']
    """
    return {name: installed_version(name) for name in (*DECIDING_PACKAGES, *OPTIONAL_PACKAGES)}


@functools.cache
def installed_version(package: str) -> str:
    """Returns a package's version here, or `NOT_INSTALLED`."""
    try:
        return version(package)
    except PackageNotFoundError:
        return NOT_INSTALLED


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
