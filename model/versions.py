"""Reads what decides the last bit of an answer besides plan and network: packages' versions, and the processor."""

import functools
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version

from bulklabel.model.errors import UserError

KERAS, ONNX = "keras", "onnx"
ENGINES = {KERAS: ("tensorflow", "keras"), ONNX: ("onnxruntime",)}
"""By a model's engine, the packages that run its network."""

DECODERS = ("numpy", "opencv-python-headless", "pillow", "simplejpeg", "isal", "pillow-heif", "pydicom", "python-gdcm")
"""Not everybody has the last three: who lacks one rejects what others score, so that counts as a version too."""

NOT_INSTALLED = "not installed"


def deciding_versions(engine: str = KERAS) -> dict[str, str]:
    """Returns the installed versions of the packages that decode and compute for a model of an engine.

    Raises:
        UserError: if the engine is not installed.

    >>> [name for name in deciding_versions() if name not in DECODERS]
    ['tensorflow', 'keras']
    """
    return engine_versions(engine) | decoder_versions()


def decoder_versions() -> dict[str, str]:
    """Returns the installed versions of the packages that decide what pixels an image has."""
    return {name: installed_version(name) for name in DECODERS}


def engine_versions(engine: str) -> dict[str, str]:
    """Returns the installed versions of the packages that run an engine's networks.

    Raises:
        UserError: if one is not installed.
    """
    versions = {name: installed_version(name) for name in ENGINES[engine]}
    for name, installed in versions.items():
        if installed == NOT_INSTALLED:
            raise UserError(
                f"{engine} networks need {name}, which is not installed; pip install 'bulklabel[{engine}]' adds it."
            )
    return versions


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


def processor_cores() -> int:
    """Returns how many cores this process may use, where the system says it, or else how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
