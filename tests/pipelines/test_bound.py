"""The line at the end of a run that says what bound it: each advice where it is true, none where nothing is known."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from bulklabel.pipelines.console.tables import bound_line
from bulklabel.transforms.concurrency.stage_clock import STAGES

XEON = {"processor": "Intel Xeon", "processor_flags": ["avx2", "amx_bf16"]}
EPYC = {"processor": "AMD EPYC", "processor_flags": ["avx2"]}


def timings(seconds: tuple[float, ...], before: float | None = 4, after: float | None = 2) -> dict[str, Any]:
    started = datetime.fromisoformat("2026-01-01T00:00:00.000+00:00")
    return {
        "started": started.isoformat(),
        "ended": (started + timedelta(seconds=20)).isoformat(),
        "seconds_to_first_batch": before,
        "seconds_from_last_batch": after,
        "seconds": dict(zip(STAGES, seconds, strict=True)),
    }


@pytest.mark.parametrize(
    ("seconds", "share", "advice"),
    [
        ((6, 2, 1, 1), "reading: 60 %", "nearer store"),
        ((1, 7.1, 1, 0.9), "decoding: 71 %", "--direct_num_workers"),
        ((0, 3, 4, 3), "predicting: 40 %", "more cores or a smaller network"),
        ((0, 0, 0, 1), "writing: 100 %", "--output"),
    ],
)
def test_the_stage_that_took_most_is_named_with_what_would_help(
    seconds: tuple[float, ...], share: str, advice: str
) -> None:
    line = bound_line(timings(seconds), EPYC, "float32")
    assert line.startswith(f"{share} of the threads' time; ")
    assert advice in line


@pytest.mark.parametrize(
    ("platform", "precision", "seconds", "offered"),
    [
        (XEON, "float32", (0, 1, 9, 0), True),
        (EPYC, "float32", (0, 1, 9, 0), False),
        (XEON, "bfloat16", (0, 1, 9, 0), False),
        (XEON, "float32", (0, 9, 1, 0), False),
    ],
)
def test_bfloat16_is_named_where_the_processor_has_it_and_the_network_takes_the_time(
    platform: dict[str, Any], precision: str, seconds: tuple[float, ...], offered: bool
) -> None:
    line = bound_line(timings(seconds), platform, precision)
    assert ("Intel Xeon computes in bfloat16, so --precision bfloat16" in line) is offered


@pytest.mark.parametrize(("before", "after", "short"), [(8, 3, True), (2, 9, True), (8, 2, False)])
def test_a_run_that_mostly_starts_and_ends_says_so(before: float, after: float, short: bool) -> None:
    line = bound_line(timings((1, 1, 9, 1), before, after), XEON, "float32")
    assert line.startswith(f"start-up and end: {before + after} of 20 s, ") is short


def test_nothing_is_said_where_no_batch_was_scored() -> None:
    assert bound_line(timings((1, 0, 0, 1), None, None), XEON, "float32") == ""
