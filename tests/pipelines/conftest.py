"""A run that costs nothing, for the commands that read one."""

from pathlib import Path

import pytest

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
