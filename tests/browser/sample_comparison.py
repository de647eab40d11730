"""Two invented runs compared; `python -m tests.browser.sample_comparison OUT N` writes the page for N labels."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bulklabel.model.comparison.comparison import Comparison, Labelling, comparison_content
from bulklabel.model.comparison.join import PICTURED_FIELDS, Joined, RecordCounts
from bulklabel.model.report import render_comparison
from tests.browser.sample_report import NASTY, PROVENANCE, names_of


def records_table(ids: list[str]) -> pa.Table:
    """Records of one file, in order."""
    columns = [ids, ["photos/part-0.parquet"] * len(ids), range(len(ids)), [0] * len(ids)]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PICTURED_FIELDS, strict=True)]
    return pa.table(arrays, PICTURED_FIELDS)


def sample_joined(labels: int, records: int, *, with_truth: bool = True) -> Joined:
    """Records with labels of which some got better, some worse, and most hardly changed."""
    random = np.random.default_rng(labels)
    shares = 0.35 * random.power(0.8, labels).clip(0.03)
    truth = (random.random((records, labels)) < shares).astype(np.int8)
    skill, gain = random.uniform(1.2, 4, labels), random.normal(0, 0.35, labels)
    noise = random.normal(0, 1.8, truth.shape)
    sides = []
    for more, own in ((0, 0.0), (gain, 0.4)):
        logits = (skill + more) * (2 * truth - 1) + noise + own * random.normal(0, 1.8, truth.shape) - 0.3
        sides.append((1 / (1 + np.exp(-logits))).astype(np.float32))
    ids = [NASTY if row == 0 else f"photo-{row:05d}" for row in range(records)]
    sides[1][0, 0] = 1 - np.rint(sides[0][0, 0])  # the nasty one is among those that changed most
    counts = RecordCounts(both=records, only_before=12, only_after=3, repeated_after=2, other_truth=5)
    return Joined(records_table(ids), truth if with_truth else np.full_like(truth, -1), sides[0], sides[1], counts)


def sample_content(labels: int, records: int, *, with_truth: bool = True) -> dict[str, Any]:
    """The content of a `comparison.json`."""
    joined = sample_joined(labels, records, with_truth=with_truth)
    labelling = Labelling(tuple(names_of(labels)), (0.5,) * labels, (0.45,) * labels)
    content = comparison_content(Comparison.from_joined(joined, labelling), labelling)
    run = {"counts": {"records": records, "scored": records - 7, "rejected": 7}} | PROVENANCE
    content["runs"] = {
        "before": {"path": "runs/monday"} | run,
        "after": {"path": "runs/tuesday"} | run | {"model": "models/shop2", "plan": "a7e0" * 16},
    }
    return content | {"group_by": None, "labels": {"only_before": ["hat", NASTY], "only_after": []}}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render_comparison(sample_content(int(sys.argv[2]), 3000)))
