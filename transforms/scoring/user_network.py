"""Loads a user's own network, a Keras archive, a SavedModel or an ONNX file, from any of Beam's file systems."""

import os
import posixpath
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.model.network.interface import Interface
from bulklabel.model.versions import ONNX, engine_versions
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.path_names import is_remote

if TYPE_CHECKING:
    import keras

SAVED_MODEL = "saved_model.pb"
VARIABLES = "variables"


def load_user_network(path: str, trusted: bool) -> "keras.Model":
    """Loads the network in a `.keras` file or in a SavedModel's folder, as the user named it.

    Raises:
        UserError: if it is neither, cannot be loaded, or would run code without being trusted.
    """
    from bulklabel.model.network.keras_archive import load_network  # imports TensorFlow, which takes seconds
    from bulklabel.model.network.saved_model import network_from_saved_model

    location = files.absolute(path)
    try:
        if not files.exists(files.join(location, SAVED_MODEL)):
            return load_network(files.read(location), path, trusted)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file or SavedModel; give a .keras file, or a folder with {SAVED_MODEL}."
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        _copy_saved_model(location, folder)
        return network_from_saved_model(folder, path, trusted)


def read_user_onnx(path: str, interface: Interface) -> tuple[bytes, tuple[int, int]]:
    """Returns what becomes of an ONNX file, and of those beside it that hold its weights, in a model directory.

    Returns:
        The content of `model.onnx`, and height and width of its images.

    Raises:
        UserError: if there is no such file, it cannot be used or run, or the extra `onnx` is not installed.
    """
    engine_versions(ONNX)
    from bulklabel.model.network.onnx.package_onnx import package_onnx  # imports what is an extra

    location = files.absolute(path)
    try:
        content = files.read(location)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: no such file; give an .onnx file.") from None
    return package_onnx(content, lambda name: _read_beside(location, name, path), path, interface)


def _read_beside(location: str, name: str, path: str) -> bytes:
    """Reads a file that a network names, from its folder or below.

    Links are followed, and so are those to the network itself: caches keep both as links into one folder.
    """
    beside = files.join(posixpath.dirname(location), name)
    if not is_remote(location):
        folders = {os.path.dirname(location), os.path.dirname(os.path.realpath(location))}
        if not any(Path(os.path.realpath(beside)).is_relative_to(os.path.realpath(folder)) for folder in folders):
            raise UserError(
                f"{path} keeps its weights in {name!r}, a link to outside of its folder; put the file there."
            )
    try:
        return files.read(beside)
    except FileNotFoundError:
        raise UserError(f"{path} keeps its weights in {name!r}, which is not beside it; put that file there.") from None


def _copy_saved_model(location: str, folder: str) -> None:
    """Copies the graph and the variables alone: assets, for example, have no use in a network of pixels."""
    os.mkdir(os.path.join(folder, VARIABLES))
    variables = files.list_folder(files.join(location, VARIABLES))
    for source, name in [(files.join(location, SAVED_MODEL), SAVED_MODEL)] + [
        (file.path, os.path.join(VARIABLES, os.path.basename(file.path))) for file in variables
    ]:
        with open(os.path.join(folder, name), "wb") as copy:
            copy.write(files.read(source))
