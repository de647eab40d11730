"""Reads and writes model directories on any of Beam's file systems."""

from bulklabel.model.errors import UserError
from bulklabel.model.model_directory import DESCRIPTION_FILE, GOLDEN_FILE, NETWORK_FILES, Model, read_model
from bulklabel.transforms.files import files


def load_model(directory: str) -> Model:
    """Reads the model in a directory; its network's bytes are read, but not yet loaded.

    Raises:
        UserError: if a file is missing or they do not belong together.
    """
    return read_model(lambda name: _read(directory, name), directory)


def save_model(model: Model, directory: str) -> None:
    """Writes a model directory.

    The description comes last and names the others by their SHA-256, so what a killed writer leaves is never taken
    for a model.

    Raises:
        StoreError: if it cannot be written.
    """
    folder = files.absolute(directory)
    names = (DESCRIPTION_FILE, GOLDEN_FILE, *(name for name in NETWORK_FILES.values() if name != model.network_file))
    files.delete([files.join(folder, name) for name in names])
    files.write(files.join(folder, model.network_file), model.network)
    if model.golden is not None:
        files.write(files.join(folder, GOLDEN_FILE), model.golden)
    files.write(files.join(folder, DESCRIPTION_FILE), model.description())


def _read(directory: str, name: str) -> bytes | None:
    try:
        return files.read(files.join(files.absolute(directory), name))
    except FileNotFoundError:
        if name == DESCRIPTION_FILE:
            _check_is_no_network(directory)
        return None


def _check_is_no_network(path: str) -> None:
    if path.rpartition("/")[2] in NETWORK_FILES.values():
        raise UserError(f"{path} is a file of a model directory; give the folder that it is in.")
    if path.endswith((".keras", ".h5", ".onnx")):
        raise UserError(f"{path} is a network; make a model directory of it with `bulklabel package`.")
