"""What scoring costs a record, counted and not timed: calls of Python functions, and calls of the network."""

import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tests.conftest import png, write_parquet
from tests.support.cheap_runs import CheapScorer, cheap_plan, cheap_run

BATCH = 256


def cost_of(records: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts calls of Python functions and of the network, in all threads, from reading records to writing them."""
    rows = [
        {"id": f"r{row}", "image": png(np.full((8, 8, 3), row % 251, np.uint8)), "labels": ["cat"]}
        for row in range(records)
    ]
    plan = cheap_plan([write_parquet(folder / f"{records}.parquet", rows)], folder / f"run-{records}")
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            calls["functions"] += 1
            calls[f"{Path(frame.f_code.co_filename).name} {frame.f_code.co_name}"] += 1

    predict = CheapScorer.predict

    def predict_and_count(self: CheapScorer, pixels: Any) -> Any:
        calls["network"] += 1
        return predict(self, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(CheapScorer, "predict", predict_and_count)
        threading.setprofile(count)
        sys.setprofile(count)
        try:
            cheap_run(plan, folder / f"run-{records}")
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    return calls


def test_a_record_costs_few_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few, more = cost_of(2 * BATCH, tmp_path, monkeypatch), cost_of(4 * BATCH, tmp_path, monkeypatch)
    assert (few["network"], more["network"]) == (2, 4)
    a_record = {name: (more[name] - few[name]) / (2 * BATCH) for name in more}
    dearest = sorted(a_record.items(), key=lambda item: -item[1])[:40]
    assert a_record["functions"] < 46, "\n".join(map(str, dearest))
