"""Unpacks pixels by GDCM in a process of its own: of damaged data it throws what no caller catches, and ends with it.

    python -m bulklabel.model.images.gdcm_process

reads frames with what DICOM says of them, and writes their samples, until its input ends.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[Any]


class GdcmProcess:
    """Is a process that unpacks one frame after another."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", __name__]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)

    def unpack(self, frame: bytes, description: Mapping[str, Any]) -> tuple[Values, dict[str, Any]]:
        """Returns a frame's samples, and what pydicom says of them.

        Raises:
            ValueError: if it cannot be unpacked; then the process may have ended with it.
        """
        try:
            _write(self._process.stdin, description, frame)
            answer, samples = _read(self._process.stdout)
        except (OSError, EOFError, ValueError) as error:
            self._process.kill()
            self._process.communicate()
            raise ValueError("its decoder ended") from error
        if "problem" in answer:
            raise ValueError(answer["problem"])
        return np.frombuffer(samples, answer.pop("type")).reshape(answer.pop("shape")), answer

    @property
    def runs(self) -> bool:
        """Tells whether the process can take another frame."""
        return self._process.poll() is None


NOT_SUPPORTED = "not supported"
"""The problem of what GDCM knows, and cannot unpack."""

_idle: list[GdcmProcess] = []
"""Processes of this one that wait for a frame: there are never more than threads that decode at once."""

os.register_at_fork(after_in_child=_idle.clear)


def unpack(frame: bytes, description: Mapping[str, Any]) -> tuple[Values, dict[str, Any]]:
    """Returns a frame's samples, and what pydicom says of them.

    Args:
        frame: as its transfer syntax has it.
        description: the fields of the group `Image Pixel`, and `TransferSyntaxUID`.

    Raises:
        ValueError: if it cannot be unpacked.
    """
    try:
        process = _idle.pop()
    except IndexError:
        process = GdcmProcess()
    try:
        return process.unpack(frame, description)
    finally:
        if process.runs:
            _idle.append(process)


def serve(receiving: IO[bytes], sending: IO[bytes]) -> None:
    """Answers each frame with its samples, or with what is wrong."""
    with contextlib.suppress(EOFError):
        while True:
            description, frame = _read(receiving)
            try:
                samples, answer = _unpacked(frame, description)
            except Exception as error:
                problem = NOT_SUPPORTED if "does not support" in str(error) else type(error).__name__
                _write(sending, {"problem": problem}, b"")
            else:
                _write(sending, answer | {"type": samples.dtype.str, "shape": samples.shape}, samples.tobytes())


def _write(stream: IO[bytes] | None, about: Mapping[str, Any], content: bytes) -> None:
    assert stream is not None  # noqa: S101
    stream.write(json.dumps({**about, "bytes": len(content)}).encode() + b"\n" + content)
    stream.flush()


def _read(stream: IO[bytes] | None) -> tuple[dict[str, Any], bytes]:
    assert stream is not None  # noqa: S101
    line = stream.readline()
    if not line:
        raise EOFError
    about = json.loads(line)
    return about, stream.read(about.pop("bytes"))


def _unpacked(frame: bytes, description: Mapping[str, Any]) -> tuple[Values, dict[str, Any]]:
    import pydicom
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    dataset = pydicom.Dataset()
    for keyword, value in description.items():
        if keyword != "TransferSyntaxUID":
            setattr(dataset, keyword, value)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = description["TransferSyntaxUID"]
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    values, properties = decoder.as_array(dataset, index=0, decoding_plugin="gdcm")
    names = ("photometric_interpretation", "bits_stored")
    return values, {name: properties[name] for name in names}


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
