"""Makes Keras archives, the content of `model.keras`, and loads them after they were checked."""

import io
import os
import re
import tempfile
import zipfile
from typing import Any

import keras

from bulklabel.model.errors import UserError, first_line
from bulklabel.model.images.resize import Preprocessing
from bulklabel.model.model_directory import DESCRIPTION_FILE, MAKE_AGAIN
from bulklabel.model.network.foreign_code import check_archive, import_foreign
from bulklabel.model.network.saved_model import FrozenGraph, check_graph

FILE_NAME = "network.keras"
"""Keras saves to and loads from files only, and goes by their extension."""


def network_bytes(network: keras.Model) -> bytes:
    """Returns the Keras archive without times and memory addresses, so that equal networks are equal bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, FILE_NAME)
        network.save(path)
        buffer = io.BytesIO()
        with zipfile.ZipFile(path) as saved, zipfile.ZipFile(buffer, "w") as timeless:
            for name in saved.namelist():
                content = saved.read(name)
                timeless.writestr(zipfile.ZipInfo(name), _timeless(content) if name.endswith(".json") else content)
        return buffer.getvalue()


def _timeless(text: bytes) -> bytes:
    """Blanks the date in Keras' JSON, and numbers shared objects in order instead of by address."""
    numbers: dict[bytes, int] = {}
    text = re.sub(rb'("date_saved": )"[^"]*"', rb'\1""', text)
    return re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda match: match.group(1) + str(numbers.setdefault(match.group(2), len(numbers))).encode(),
        text,
    )


def load_network(archive: bytes, path: str, trusted: bool) -> keras.Model:
    """Loads the network in an archive, without what it was trained by.

    Args:
        archive: the bytes of a `.keras` file.
        path: where it came from, for messages.
        trusted: whether code that came with it, or that it names, may run.

    Raises:
        UserError: if Keras cannot load it, or it would run code without being trusted.
    """
    custom_objects: dict[str, Any] = {}
    if trusted:
        custom_objects = import_foreign(archive, path)
    else:
        check_archive(archive, path)
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, FILE_NAME)
        with open(local, "wb") as file:
            file.write(archive)
        try:
            network = keras.saving.load_model(
                local, custom_objects=custom_objects, compile=False, safe_mode=not trusted
            )
        except Exception as error:  # Keras raises many types on a damaged file
            raise UserError(
                f"{path} cannot be loaded by Keras {keras.__version__} ({first_line(error)}); "
                "make it again with this version."
            ) from error
    if not trusted:
        for layer in network._flatten_layers():
            if isinstance(layer, FrozenGraph):
                check_graph(layer.graph, path)
    return network


def check_shapes(network: keras.Model, path: str, preprocessing: Preprocessing, labels: int) -> None:
    """Checks that the network of a model directory takes the images and answers for the labels of its description.

    Raises:
        UserError: if it has several inputs or outputs, or other shapes; `path` is for the message.
    """
    inputs, outputs = (getattr(network, name, None) or [] for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise UserError(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs, and a model directory's network one of each; "
            f"{MAKE_AGAIN}."
        )
    taken, answers = tuple(inputs[0].shape), tuple(outputs[0].shape)
    size = (preprocessing.height, preprocessing.width, 3)
    if len(taken) != 4 or any(side not in (None, wanted) for side, wanted in zip(taken[1:], size, strict=True)):
        raise UserError(
            f"{path} takes images of the shape {taken[1:]}, but {DESCRIPTION_FILE} says {size} (image_size); "
            f"{MAKE_AGAIN}."
        )
    if len(answers) != 2 or answers[1] != labels:
        raise UserError(
            f"{path} has outputs of the shape {answers}, but {DESCRIPTION_FILE} lists {labels} labels; {MAKE_AGAIN}."
        )
