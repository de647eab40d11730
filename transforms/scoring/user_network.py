"""Loads a user's own network, a Keras archive or a SavedModel, from any of Beam's file systems."""

import os
import tempfile
from typing import TYPE_CHECKING

from bulklabel.model.errors import UserError
from bulklabel.transforms.files import files

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


def _copy_saved_model(location: str, folder: str) -> None:
    """Copies the graph and the variables alone: assets, for example, have no use in a network of pixels."""
    os.mkdir(os.path.join(folder, VARIABLES))
    variables = files.list_folder(files.join(location, VARIABLES))
    for source, name in [(files.join(location, SAVED_MODEL), SAVED_MODEL)] + [
        (file.path, os.path.join(VARIABLES, os.path.basename(file.path))) for file in variables
    ]:
        with open(os.path.join(folder, name), "wb") as copy:
            copy.write(files.read(source))
