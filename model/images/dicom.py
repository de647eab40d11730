"""Decodes DICOM files, and reads fields of their headers, by pydicom: the extra `dicom`.

A header names a person, and pydicom's errors and warnings quote it. So none of their words leave this module.
"""

import io
import logging
import struct
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.encaps import get_frame
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from bulklabel.model.errors import RecordError
from bulklabel.model.images.gdcm_process import NOT_SUPPORTED, unpack
from bulklabel.model.images.jpeg import START_OF_FRAME, all_segments
from bulklabel.model.images.limits import Limits, truncated_image, unsupported_image
from bulklabel.model.images.other_formats import JPEG2000_START
from bulklabel.model.images.resize import Pixels
from bulklabel.model.images.samples import PixelRange, spread

logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module="pydicom")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

BY_GDCM = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes} - {JPEGBaseline8Bit}
"""The transfer syntaxes that GDCM unpacks, in a process of its own."""

IMAGE_PIXEL = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PhotometricInterpretation", "PlanarConfiguration"),
)
"""What that process is told of an image."""

JPEG_LS_FRAME = 0xF7

MOST_BITS = 16
"""Samples of more have no known range."""

Values = npt.NDArray[Any]


def is_keyword(name: str) -> bool:
    """Tells whether DICOM has a field of this name.

    >>> is_keyword("PatientID"), is_keyword("patient")
    (True, False)
    """
    return tag_for_keyword(name) is not None


def header_fields(content: bytes, keywords: Sequence[str]) -> list[str | None]:
    """Returns the values of fields as text, several separated by a backslash; None where there is none."""
    try:
        header = pydicom.dcmread(io.BytesIO(content), force=True, stop_before_pixels=True, specific_tags=list(keywords))
        return [_text(header.get(keyword)) for keyword in keywords]
    except Exception:  # whatever is wrong, decoding says it
        return [None] * len(keywords)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, bytes | pydicom.Sequence):
        return None
    text = "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)
    return text.strip() or None


def decode_dicom(content: bytes, limits: Limits, pixel_range: PixelRange = None) -> tuple[Pixels, bool]:
    """Returns the first frame of a DICOM file as it is meant to be shown, H×W×3, and that no pixels are missing.

    Samples are rescaled, then mapped by `pixel_range` if they have more than 8 bits and it is given; else by the file's
    own lookup table or window, or by its own depth where it has neither. MONOCHROME1 is inverted: 0 is black.

    Raises:
        RecordError: at the stage `decode`, if it cannot be decoded within the limits. It quotes no header.
    """
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        _check(dataset, limits)
        return _shown(dataset, pixel_range), False
    except RecordError:
        raise
    except Exception as error:  # of damaged files pydicom raises nearly every type
        raise _problem(error) from None


def _problem(error: Exception) -> RecordError:
    words = str(error)  # are looked at, and go no further
    if "less than expected" in words or "EOF" in type(error).__name__ or isinstance(error, EOFError):
        return truncated_image("DICOM", "it has fewer bytes of pixels than its header claims")
    return RecordError("decode", "damaged_image", f"the DICOM file is damaged ({type(error).__name__})")


def _check(dataset: Any, limits: Limits) -> None:
    """Checks what a header claims before pixels are unpacked.

    Raises:
        RecordError: if it is no image, too large, or of a kind that is not supported.
    """
    if "PixelData" not in dataset:
        if not len(dataset):
            raise RecordError("decode", "damaged_image", "the DICOM file is damaged: it has no fields")
        floats = "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset
        raise unsupported_image("a DICOM file of floating-point samples" if floats else "a DICOM file without an image")
    limits.check_size(int(dataset.Columns), int(dataset.Rows))
    if not dataset.file_meta.get("TransferSyntaxUID"):
        implicit, little = dataset.original_encoding
        if not little:
            raise unsupported_image("a DICOM file in big-endian order, without a header that says so")
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def _shown(dataset: Any, pixel_range: PixelRange) -> Pixels:
    values, properties = _unpacked(dataset)
    meaning, bits = properties["photometric_interpretation"], properties["bits_stored"]
    if meaning == "PALETTE COLOR":
        colors = apply_color_lut(values, dataset)[..., :3]
        return spread(colors, 0, 2 ** dataset.RedPaletteColorLookupTableDescriptor[2] - 1)
    if values.ndim == 3:
        return spread(values, 0, 2**bits - 1)
    gray = _gray(values, dataset, bits, pixel_range if bits > 8 else None)
    if meaning == "MONOCHROME1":
        gray = 255 - gray
    return np.dstack([gray, gray, gray])


def _unpacked(dataset: Any) -> tuple[Values, Any]:
    """Returns the samples of the first frame, H×W or H×W×3, and what pydicom says of them.

    Raises:
        RecordError: if nothing here can unpack them.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        decoder = None
    if decoder is None or not decoder.is_available:
        raise unsupported_image(f"a DICOM file of the transfer syntax {syntax.name}")
    plugin = ""  # pydicom's own, which there is one of
    if syntax in BY_GDCM or syntax == JPEGBaseline8Bit:
        frame = get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
        _check_coded_size(frame, dataset)
        plugin = "pillow"
    if syntax not in BY_GDCM:
        return decoder.as_array(dataset, index=0, decoding_plugin=plugin)
    described = {keyword: dataset.get(keyword) for keyword in IMAGE_PIXEL if keyword in dataset}
    try:
        return unpack(frame, {**described, "TransferSyntaxUID": syntax})
    except ValueError as error:
        if str(error) == NOT_SUPPORTED:
            raise unsupported_image(
                f"a DICOM file of the transfer syntax {syntax.name} with {dataset.BitsStored:d} bits"
            ) from None
        raise


def _check_coded_size(frame: bytes, dataset: Any) -> None:
    """Checks that the first frame's own header claims the size that the file's does, which was checked.

    Raises:
        RecordError: if it does not.
    """
    start = frame.find(JPEG2000_START)
    if dataset.file_meta.TransferSyntaxUID in JPEG2000TransferSyntaxes:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        size = (bottom - top, right - left)
    else:
        frames = (content for marker, content in all_segments(frame) if marker in (*START_OF_FRAME, JPEG_LS_FRAME))
        size = struct.unpack_from(">xHH", next(frames, bytes(5)))
    if size != (dataset.Rows, dataset.Columns):
        raise RecordError("decode", "damaged_image", "the DICOM file is damaged: its pixels are of another size")


def _gray(stored: Values, dataset: Any, bits: int, pixel_range: PixelRange) -> Pixels:
    """Returns stored values, H×W, as they are shown: rescaled, and mapped by a table, a window or their depth."""
    values = _rescaled(stored, dataset)
    if pixel_range is not None:
        return spread(values, *pixel_range)
    if dataset.get("VOILUTSequence"):
        shown = apply_voi(values, dataset, index=0)
        return spread(shown, 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1)
    center, width = (_first(_field(dataset, "FrameVOILUTSequence", f"Window{name}")) for name in ("Center", "Width"))
    if center is not None and width is not None and width > 0:
        function = _field(dataset, "FrameVOILUTSequence", "VOILUTFunction") or "LINEAR"
        return _windowed(values, float(center), float(width), str(function))
    if bits > MOST_BITS:
        raise unsupported_image(f"a DICOM file of {bits}-bit samples without a window")
    if dataset.get("ModalityLUTSequence"):
        return spread(values, 0, 2 ** dataset.ModalityLUTSequence[0].LUTDescriptor[2] - 1)
    signed = dataset.PixelRepresentation == 1
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    low, high = sorted(_rescaled(ends, dataset).tolist())  # a negative slope inverts
    return spread(values, low, high)


def _rescaled(stored: Values, dataset: Any) -> Values:
    if dataset.get("ModalityLUTSequence"):
        return apply_modality_lut(stored, dataset)
    slope, intercept = (
        _field(dataset, "PixelValueTransformationSequence", f"Rescale{name}") for name in ("Slope", "Intercept")
    )
    if slope is None or intercept is None:
        return stored
    return stored * float(slope) + float(intercept)


def _windowed(values: Values, center: float, width: float, function: str) -> Pixels:
    """Maps values by a window to 0…255 (DICOM PS3.3, C.11.2.1.2).

    >>> _windowed(np.array([-10, 100, 300]), 100, 200, "LINEAR_EXACT").tolist()
    [0, 128, 255]
    """
    if function == "SIGMOID":
        return spread(1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700))), 0, 1)
    if function == "LINEAR_EXACT":
        return spread(values, center - width / 2, center + width / 2)
    if width <= 1:
        return np.where(values > center - 0.5, 255, 0).astype(np.uint8)
    return spread(values, center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)


def _field(dataset: Any, group: str, keyword: str) -> Any:
    """Returns a field of the first frame: its own, or that of all frames, or else of the whole file."""
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        sequence = dataset.get(groups) and dataset.get(groups)[0].get(group)
        if sequence and sequence[0].get(keyword) is not None:
            return sequence[0].get(keyword)
    return dataset.get(keyword)


def _first(value: Any) -> Any:
    return (value[0] if len(value) else None) if isinstance(value, MultiValue) else value
