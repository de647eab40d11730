"""Finds what a Keras archive would run besides Keras' own layers: refused, unless whoever made it is trusted.

Keras' safe mode refuses what it can see is Python code. It does not refuse classes of other packages that happen to
be installed, nor public functions of Keras that are no part of a network. So the archive is read here first.
"""

import importlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bulklabel.model.errors import UserError

CONFIG = "config.json"
MEMBERS = {CONFIG, "metadata.json", "model.weights.h5"}
MAX_CONFIG_BYTES = 64 * 2**20

MODULES = re.compile(
    r"keras(\.src)?\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers"
    r"|quantizers|regularizers)(\.\w+)*"
)
"""The parts of Keras that networks are made of."""

TOP_LEVEL = {"DTypePolicy", "Functional", "Model", "Sequential"}
CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
"""Layers of Keras that run what the archive, or a file that it names, says."""

APPLICATIONS = {
    ("keras.src.applications.convnext", "LayerScale"),
    ("keras.src.applications.convnext", "StochasticDepth"),
    ("keras.src.applications.inception_resnet_v2", "CustomScaleLayer"),
}
"""Layers that Keras keeps beside its own networks, which are made of them."""

VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
OWN = ("bulklabel.model.network.saved_model", "FrozenGraph", "bulklabel>FrozenGraph")

CONVERT = "load it where it was made and save it by `model.save('network.keras')`"
CONVERT_HDF5 = (
    'convert it where you trust it, with the Keras that made it: python -c "import keras; network = '
    "keras.saving.load_model('network.h5', compile=False); network.save('network.keras')\"; if that is Keras 2, or it "
    "has weights alone, build the network there and `network.export('folder')`, and give the folder"
)


@dataclass(frozen=True)
class ForeignObject:
    """Names a class or a function in `config.json` that is no part of Keras, and the layer that it belongs to."""

    layer: str
    module: str | None
    name: str
    registered_name: str | None

    def __str__(self) -> str:
        """Says in a message what it is."""
        return f"the layer {self.layer!r} uses {self.module + '.' if self.module else ''}{self.name}"


def check_archive(archive: bytes, path: str) -> None:
    """Checks that an archive holds nothing but a configuration of Keras' own layers, and numbers.

    Raises:
        UserError: if it is no archive, or holds anything else; `path` is for the message.
    """
    strange = next((str(item) for item in foreign_objects(archive, path)), None)
    members = sorted(set(_members(archive)) - MEMBERS)
    if strange is None and members:
        strange = f"the archive holds {members[0]}, which is neither configuration nor weights"
    if strange is not None and _keras_version(archive).startswith("2."):
        raise UserError(
            f"{path} was saved by Keras {_keras_version(archive)} ({strange}); export the network where it was made by "
            "`network.export('folder')`, and give the folder."
        )
    if strange is not None:
        raise UserError(
            f"{path} may run code of its own: {strange}; build the network of Keras' own layers, or give "
            "--trust_model_code if you know who made it."
        )


def import_foreign(archive: bytes, path: str) -> dict[str, Any]:
    """Imports the classes and functions that a trusted archive asks for, by the names that Keras looks them up by.

    Raises:
        UserError: if it is no archive, or one of them cannot be imported here.
    """
    imported: dict[str, Any] = {}
    for item in foreign_objects(archive, path):
        if item.module is None or item.module.split(".")[0] == "keras":
            continue  # Keras finds it, or says that it cannot
        try:
            imported[item.registered_name or item.name] = getattr(importlib.import_module(item.module), item.name)
        except (ImportError, AttributeError) as error:
            raise UserError(
                f"{path}: {item}, which cannot be imported here ({error}); install its package, "
                "or add its folder to PYTHONPATH."
            ) from error
    return imported


def foreign_objects(archive: bytes, path: str) -> list[ForeignObject]:
    """Returns all that an archive's `config.json` names and that is no part of Keras, in order.

    Raises:
        UserError: if it is not a Keras archive; `path` is for the message.
    """
    if archive.startswith(b"\x89HDF"):
        raise UserError(f"{path} is an HDF5 file, not a Keras archive; {CONVERT_HDF5}.")
    if archive.startswith(b"\x80"):
        raise UserError(f"{path} is a pickle, not a Keras archive; {CONVERT}.")
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            if opened.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
                raise UserError(f"{path} has a {CONFIG} of more than {MAX_CONFIG_BYTES:,} bytes; {CONVERT} again.")
            config = json.loads(opened.read(CONFIG))
        config.pop("compile_config", None)  # networks are loaded without what they were trained by
        return list(_walk(config, "network"))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a Keras archive ({error}); {CONVERT}.") from error


def _members(archive: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return opened.namelist()


def _keras_version(archive: bytes) -> str:
    """Returns the version that an archive says it was saved by; empty if it says none."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            return str(json.loads(opened.read("metadata.json"))["keras_version"])
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError):
        return ""


def _walk(node: Any, layer: str) -> Iterator[ForeignObject]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, layer)
    elif isinstance(node, dict):
        config = node.get("config")
        if isinstance(config, dict) and "class_name" in node:
            layer = str(config.get("name") or layer)
        if "class_name" in node and not _is_keras(node):
            name = config if node["class_name"] == "function" else node["class_name"]
            yield ForeignObject(layer, node.get("module"), str(name), node.get("registered_name"))
        for value in node.values():
            yield from _walk(value, layer)


def _is_keras(node: dict[str, Any]) -> bool:
    """Whether an object of `config.json` is looked up in Keras alone, and is a part of networks there."""
    module, name, registered = (node.get(key) for key in ("module", "class_name", "registered_name"))
    if (module, name, registered) == OWN:
        return True
    if module is None:
        return name in VALUES
    function = node.get("config") if name == "function" else None
    if registered not in (None, name, function):
        return False  # Keras would take what is registered under this name, whatever the module says
    if module == "builtins":
        return function is not None
    known = name in TOP_LEVEL if module == "keras" else MODULES.fullmatch(str(module)) is not None
    known = known or (module, name) in APPLICATIONS
    return known and name not in CODE
