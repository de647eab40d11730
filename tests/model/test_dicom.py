"""DICOM: shown as its header says, and its header is nobody's business."""

import random
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.valuerep import DSfloat

from bulklabel.model.errors import RecordError
from bulklabel.model.images.decode import decode_whole
from bulklabel.model.images.dicom import header_fields
from bulklabel.model.images.limits import Limits
from tests.support.dicom_files import PERSON, TEST_FILES, dicom, group
from tests.support.mutations import mutated

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def gray(content: bytes) -> np.ndarray:
    pixels = decode_whole(content)
    assert (pixels == pixels[:, :, :1]).all()
    return pixels[:, :, 0]


def problem(content: bytes, limits: Limits | None = None) -> RecordError:
    with pytest.raises(RecordError) as caught:
        decode_whole(content, limits or Limits())
    assert caught.value.stage == "decode"
    return caught.value


WINDOWED = ("CT_small", "MR_small_RLE", "MR_small_jpeg_ls_lossless", "MR_small_bigendian", "J2K_pixelrep_mismatch")


@pytest.mark.parametrize("name", [*WINDOWED, "liver_1frame", "image_dfl"])
def test_gray_values_are_shown_as_pydicom_shows_them(name: str) -> None:
    path = TEST_FILES / f"{name}.dcm"
    dataset = pydicom.dcmread(path)
    values = dataset.pixel_array[0] if int(dataset.get("NumberOfFrames") or 1) > 1 else dataset.pixel_array
    shown = apply_voi_lut(apply_modality_lut(values, dataset), dataset).astype(float)
    signed, bits = dataset.PixelRepresentation, dataset.BitsStored
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1])
    low, high = apply_modality_lut(ends, dataset)
    expected = (shown - low) / (high - low) * 255
    assert np.abs(gray(path.read_bytes()) - expected).max() <= 0.51


@pytest.mark.parametrize("name", ["SC_rgb_rle", "SC_rgb_jpeg_gdcm", "SC_rgb_jls_lossy_line", "examples_ybr_color"])
def test_colors_are_pydicoms(name: str) -> None:
    content = (TEST_FILES / f"{name}.dcm").read_bytes()
    values = pydicom.dcmread(TEST_FILES / f"{name}.dcm").pixel_array
    assert np.array_equal(decode_whole(content), values[0] if values.ndim == 4 else values)


def test_without_a_window_the_depth_is_the_range() -> None:
    expected = np.floor(RAMP / 4095 * 255 + 0.5)
    assert np.array_equal(gray(dicom(RAMP)), expected)
    assert np.array_equal(gray(dicom(RAMP.astype(np.int16) - 2048)), expected)
    assert np.array_equal(gray(dicom(RAMP, meaning="MONOCHROME1")), 255 - expected)
    assert np.array_equal(gray(dicom(RAMP, RescaleSlope="-1", RescaleIntercept="5")), 255 - expected)


@pytest.mark.parametrize(
    ("fields", "low", "high"),
    [
        ({"WindowCenter": "100.5", "WindowWidth": "201"}, 0, 200),
        ({"WindowCenter": "100", "WindowWidth": "200", "VOILUTFunction": "LINEAR_EXACT"}, 0, 200),
        ({"WindowCenter": ["100.5", "7"], "WindowWidth": ["201", "3"]}, 0, 200),
        ({"WindowCenter": "0.5", "WindowWidth": "201", "RescaleSlope": "2", "RescaleIntercept": "-100"}, 0, 100),
        ({"WindowCenter": "100.5", "WindowWidth": "1"}, 100.0, 100.001),
        ({"WindowCenter": "100.5", "WindowWidth": "0"}, 0, 4095),
        ({"WindowCenter": "100.5"}, 0, 4095),
    ],
)
def test_a_window_maps_values(fields: dict[str, Any], low: float, high: float) -> None:
    expected = np.clip((RAMP - low) / (high - low), 0, 1) * 255
    assert np.abs(gray(dicom(RAMP, **fields)) - expected).max() <= 0.51


@pytest.mark.parametrize(
    "fields",
    [
        {"RescaleSlope": "0", "RescaleIntercept": "0"},
        {"RescaleSlope": "nan", "RescaleIntercept": "0"},
        {"RescaleSlope": "1", "RescaleIntercept": "inf"},
        {"WindowCenter": "nan", "WindowWidth": "9"},
        {"WindowCenter": "9", "WindowWidth": "inf"},
    ],
)
def test_what_gives_no_range_of_values_is_damaged(fields: dict[str, str]) -> None:
    values: dict[str, Any] = {name: DSfloat(value) for name, value in fields.items()}
    assert problem(dicom(RAMP, **values)).reason == "damaged_image"


def test_the_first_frame_is_shown_by_its_own_window() -> None:
    frames = np.stack([RAMP, RAMP[::-1]])
    assert np.array_equal(gray(dicom(frames)), gray(dicom(RAMP)))
    window = group(FrameVOILUTSequence=group(WindowCenter="100.5", WindowWidth="201"))
    other = group(FrameVOILUTSequence=group(WindowCenter="3000.5", WindowWidth="101"))
    expected = np.clip(RAMP / 200, 0, 1) * 255
    for fields in (
        {"PerFrameFunctionalGroupsSequence": [*window, *other], "SharedFunctionalGroupsSequence": other},
        {"SharedFunctionalGroupsSequence": window, "WindowCenter": "7", "WindowWidth": "7"},
    ):
        assert np.abs(gray(dicom(frames, **fields)) - expected).max() <= 0.51


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("rtdose", "unsupported_image", "32-bit samples without a window"),
        ("test-SR", "unsupported_image", "without an image"),
        ("JPEG-lossy", "unsupported_image", "JPEG Extended (Process 2 and 4) with 12 bits"),
        ("MR_truncated", "truncated_image", "fewer bytes"),
        ("badVR", "damaged_image", "ValueError"),
    ],
)
def test_what_cannot_be_shown_has_its_reason(name: str, reason: str, words: str) -> None:
    error = problem((TEST_FILES / f"{name}.dcm").read_bytes())
    assert error.reason == reason
    assert words in error.detail


def test_sizes_are_checked_before_pixels_are_unpacked() -> None:
    assert problem(dicom(RAMP), Limits(max_pixels=4095)).reason == "too_large"
    compressed = bytearray((TEST_FILES / "MR_small_jp2klossless.dcm").read_bytes())
    start = compressed.index(b"\xff\x4f\xff\x51")
    compressed[start + 8 : start + 12] = (2**30).to_bytes(4, "big")
    assert "another size" in problem(bytes(compressed)).detail


def test_a_decoder_that_dies_takes_nothing_with_it() -> None:
    good = (TEST_FILES / "MR_small_jp2klossless.dcm").read_bytes()
    fatal = bytearray(good)
    fatal[good.index(b"\xff\x4f\xff\x51") + 42] = 0xAF  # 48 bits a sample: GDCM throws what nobody catches
    expected = gray(good)
    assert problem(bytes(fatal)).reason == "damaged_image"
    assert np.array_equal(gray(good), expected)


def test_no_error_quotes_a_header(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    whole = dicom(RAMP, PatientBirthDate="not a date", PatientAge=PERSON, WindowCenter="1", WindowWidth="2")
    broken = bytearray((TEST_FILES / "MR_small_RLE.dcm").read_bytes())
    broken[-2000:] = bytes(2000)  # pydicom logs what it cannot unpack, with a traceback
    details = [problem(bytes(broken)).detail]
    for seed in range(300):
        dice = random.Random(seed)  # noqa: S311
        try:
            decode_whole(whole[:132] + mutated(whole[132:1200], dice) + whole[1200:])
        except RecordError as error:
            details.append(error.detail)
    assert len(details) > 100
    assert not [detail for detail in details if "Doe" in detail]
    captured = capfd.readouterr()
    assert "Doe" not in captured.out + captured.err
    assert not caplog.text


def test_fields_of_the_header_are_text() -> None:
    content = dicom(RAMP, PixelSpacing=["0.5", "0.25"], StudyDescription=" chest ", WindowWidth="9")
    keywords = ["PatientName", "PatientID", "Rows", "PixelSpacing", "StudyDescription", "Modality", "PixelData"]
    assert header_fields(content, keywords) == [PERSON, "Doe-7", "64", "0.5\\0.25", "chest", None, None]
    assert header_fields(content[:140], ["PatientID"]) == [None]
