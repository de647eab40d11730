"""A run that costs nothing, for the commands that read one, and batches of which few images fill one."""

from pathlib import Path

import pytest

from bulklabel.model.images import decode
from tests.conftest import write_parquet
from tests.support.cheap_runs import cheap_plan, cheap_run, picture

RECORDS = 40


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two labels, whose probabilities are spread over 0 to 1."""
    folder = tmp_path_factory.mktemp("cheap")
    rows = [
        {"id": f"r{i}", "image": picture(6 * i, 255 - 6 * i), "labels": ["cat"] if i % 3 else ["dog"]}
        for i in range(RECORDS)
    ]
    write_parquet(folder / "input.parquet", rows, row_group_size=15)
    plan = cheap_plan([folder / "input.parquet"], folder / "run")
    assert cheap_run(plan, folder / "run")
    return folder / "run"


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of eight images, for large networks and few images: what is missing to a batch costs as much."""
    monkeypatch.setattr(decode, "MAX_BATCH_SIZE", 8)
