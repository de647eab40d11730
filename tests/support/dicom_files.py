"""DICOM files: those that pydicom has for its own tests, and made ones that name a person."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

TEST_FILES = Path(pydicom.data.__file__).parent / "test_files"

PERSON = "Doe^Jane"


def dicom(pixels: np.ndarray, bits: int = 12, meaning: str = "MONOCHROME2", **fields: Any) -> bytes:
    """A file of a gray image, H×W, or of frames, N×H×W, whose header has these fields, and a person's name."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = PERSON, "Doe-7"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, meaning
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = pixels.astype("<i2" if pixels.dtype.kind == "i" else "<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def group(**fields: Any) -> list[Dataset]:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in fields.items():
        setattr(item, keyword, value)
    return [item]
