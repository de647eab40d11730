"""Model directories on any of Beam's file systems."""

from model.directory import DESCRIPTION_FILE, NETWORK_FILE, Model, read_model
from model.errors import UserError
from transforms import files


def load_model(directory: str) -> Model:
    """The model in a directory; its network's bytes are read, but not yet loaded.

    Raises:
        UserError: if one of the two files is missing or they do not belong together.
    """
    place = files.absolute(directory)
    content = {}
    for name in (DESCRIPTION_FILE, NETWORK_FILE):
        try:
            content[name] = files.read(files.join(place, name))
        except FileNotFoundError as error:
            raise UserError(
                f"{directory} is not a model directory: {name} is missing; make one with `bulklabel train`."
            ) from error
    return read_model(content[DESCRIPTION_FILE], content[NETWORK_FILE], directory)


def save_model(model: Model, directory: str) -> None:
    """Write a model directory.

    The description comes last and names the network by its SHA-256, so what a killed writer leaves is never taken
    for a model.

    Raises:
        StoreError: if it cannot be written.
    """
    place = files.absolute(directory)
    files.delete([files.join(place, DESCRIPTION_FILE)])
    files.write(files.join(place, NETWORK_FILE), model.network)
    files.write(files.join(place, DESCRIPTION_FILE), model.description())
