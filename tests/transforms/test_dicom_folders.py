"""Folders of DICOM files: fields of their headers are columns where they are named, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest

from bulklabel.model.errors import UserError
from bulklabel.transforms.reading.records import Columns
from tests.conftest import predictions_of
from tests.support.cheap_runs import cheap_plan, cheap_run, picture
from tests.support.dicom_files import dicom

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(dicom(RAMP, StudyInstanceUID="1.2.3", ViewPosition="PA"))
    (folder / "b.DICOM").write_bytes(dicom(RAMP, PatientID="8", AcquisitionNumber=4))
    (folder / "c.dcm").write_bytes(dicom(RAMP)[:400])
    (folder / "d.png").write_bytes(picture(1, 1))
    return folder


def test_fields_are_columns(folder: Path, tmp_path: Path) -> None:
    carry = ("PatientID", "StudyInstanceUID", "ViewPosition", "AcquisitionNumber")
    cheap_run(cheap_plan([folder], tmp_path / "run", columns=Columns(carry=carry)), tmp_path / "run")
    rows = predictions_of(tmp_path / "run").select(["id", *carry]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a.dcm", "Doe-7", "1.2.3", "PA", None),
        ("b.DICOM", "8", None, None, "4"),
        ("d.png", None, None, None, None),
    ]


def test_nothing_that_is_not_carried_is_written(folder: Path, tmp_path: Path) -> None:
    columns = Columns(carry=("ViewPosition",))
    assert cheap_run(cheap_plan([folder], tmp_path / "run", columns=columns), tmp_path / "run") is not None
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not [path for path in files if b"Doe" in path.read_bytes()]


def test_a_name_that_dicom_does_not_know_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column patient: no metadata file has this column"):
        cheap_plan([folder], tmp_path / "run", columns=Columns(carry=("patient",)))


def test_a_folder_without_dicom_has_no_such_fields(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="column PatientID: no metadata file has this column"):
        cheap_plan([folder / "*.png"], tmp_path / "run", columns=Columns(carry=("PatientID",)))
