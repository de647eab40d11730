"""Reads and writes model directories on any of Beam's file systems."""

from bulklabel.model.errors import UserError
from bulklabel.model.model_directory import DESCRIPTION_FILE, GOLDEN_FILE, MAKE_AGAIN, NETWORK_FILE, Model, read_model
from bulklabel.transforms.files import files


def load_model(directory: str) -> Model:
    """Reads the model in a directory; its network's bytes are read, but not yet loaded.

    Raises:
        UserError: if a file is missing or they do not belong together.
    """
    content = {name: _read(directory, name) for name in (DESCRIPTION_FILE, NETWORK_FILE, GOLDEN_FILE)}
    description, network = content[DESCRIPTION_FILE], content[NETWORK_FILE]
    if description is None or network is None:
        if directory.endswith(f"/{NETWORK_FILE}"):
            raise UserError(f"{directory} is a file of a model directory; give the folder that it is in.")
        if directory.endswith((".keras", ".h5")):
            raise UserError(f"{directory} is a network; make a model directory of it with `bulklabel package`.")
        missing = DESCRIPTION_FILE if description is None else NETWORK_FILE
        raise UserError(f"{directory} is not a model directory: {missing} is missing; {MAKE_AGAIN}.")
    return read_model(description, network, content[GOLDEN_FILE], directory)


def save_model(model: Model, directory: str) -> None:
    """Writes a model directory.

    The description comes last and names the others by their SHA-256, so what a killed writer leaves is never taken
    for a model.

    Raises:
        StoreError: if it cannot be written.
    """
    folder = files.absolute(directory)
    files.delete([files.join(folder, name) for name in (DESCRIPTION_FILE, GOLDEN_FILE)])
    files.write(files.join(folder, NETWORK_FILE), model.network)
    if model.golden is not None:
        files.write(files.join(folder, GOLDEN_FILE), model.golden)
    files.write(files.join(folder, DESCRIPTION_FILE), model.description())


def _read(directory: str, name: str) -> bytes | None:
    try:
        return files.read(files.join(files.absolute(directory), name))
    except FileNotFoundError:
        return None
