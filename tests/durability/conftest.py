"""The run of a second with a network in ONNX, which a fork starts at once: what is killed here is the run around it."""

from functools import partial

import pytest

from tests.durability.forked import Run, tiny_flags, tiny_onnx_run, undisturbed_run
from tests.support.once import made_once


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags of that run, without its output."""
    return tiny_flags(made_once(tmp_path_factory, "tiny-onnx", tiny_onnx_run))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny: list[str]) -> Run:
    """That run, forked, when nobody kills it and nothing fails: the oracle for the others."""
    folder = made_once(tmp_path_factory, "undisturbed-onnx", partial(undisturbed_run, tiny))
    return Run(None, folder / "run", folder / "log")
