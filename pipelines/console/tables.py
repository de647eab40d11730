"""What a finished command prints: the metrics as a table, and where everything is."""

import json
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bulklabel.model.metrics.requirements import Gates
from bulklabel.model.network.precision import ABLE, FLOAT32
from bulklabel.model.report import format_change, format_change_range, headlines, most_flipped, verdict_lines
from bulklabel.model.report.numbers import format_number as number
from bulklabel.model.report.numbers import format_range
from bulklabel.model.report.undefined import overall_with_undefined, with_undefined
from bulklabel.model.report.words import HEADLINES, SINGLE
from bulklabel.model.statistic.distinct import FEW_GROUPS
from bulklabel.pipelines.console.logs import is_json, log
from bulklabel.transforms.concurrency.stage_clock import DECODING, PREDICTING, READING, STAGES, WRITING
from bulklabel.transforms.evaluating.compare import COMPARISON_FILE
from bulklabel.transforms.evaluating.latest_baseline import choice_line
from bulklabel.transforms.files import files
from bulklabel.transforms.forecasting.forecast import Forecast, Rehearsal
from bulklabel.transforms.run_directory.file_names import MANIFEST_FILE, METRICS_FILE, REPORT_FILE
from bulklabel.transforms.run_directory.plan import Plan

PRINTED = ("f1_micro", "f1_macro", "subset_accuracy", "average_precision_macro", "ece")
TITLES = {name: HEADLINES[name][0] for name in PRINTED} | {"hamming_loss": SINGLE["hamming_loss"][0]}
"""The metrics that are printed with their intervals, by the names that people know them by."""

MOST_FREQUENT = 10
"""Labels that are printed of a run without truth."""

MOST_LABELS = 40
MOST_UNKNOWN = 10

ROW = "  {:<{width}}{:>9}{:>11}{:>11}{:>9}{:>9}"
PREDICTED_ROW = "  {:<{width}}{:>11}{:>9}{:>18}"
CHANGE_ROW = "  {:<25}{:>9}{:>9}{:>9}{:>21}"
FLIPS_ROW = "  {:<{width}}{:>9}{:>9}{:>9}"

NUMBERS_WIDTH = 51
"""Columns that a row of metrics needs beside its label."""

LABEL_WIDTH = 12
"""Columns that a label has on any terminal; what is longer is cut only where the terminal ends."""

MOST_FLIPPED = 10
"""Labels of a comparison that are printed."""


ADVICE = {
    READING: "a faster disk or a nearer store would help, and files of many images where each is a file of its own",
    DECODING: "more cores would help, and where images are small more processes (--direct_num_workers)",
    PREDICTING: "more cores or a smaller network would help",
    WRITING: "a faster disk or a nearer store for --output would help",
}
"""What would make a run faster, by the stage that took most of its time."""


def print_summary(output: str, seconds: float, in_one_go: bool = False) -> None:
    """Prints an output's metrics, the verdicts on its requirements, and where its report is; logs what is doubtful.

    Prints nothing with `--log_format json`: machines get the account's summary. A run that was scored `in_one_go` has a
    line on what bound it, too: of others the manifest's times tell a part.
    """
    metrics, manifest = (
        json.loads(files.read(files.join(files.absolute(output), name))) for name in (METRICS_FILE, MANIFEST_FILE)
    )
    for line in record_warnings(metrics["counts"], manifest["group_by"], metrics.get("duplicate_example")):
        log.warning("%s", line)
    if is_json():
        return
    print(summary(metrics, manifest["group_by"]))
    if manifest["gates"]:
        print("\n".join(["", *verdict_lines(manifest["gates"])]))
    if in_one_go:
        precision, by_tensorflow = manifest["options"]["precision"], "tensorflow" in manifest["versions"]
        bound = bound_line(manifest["timings"], manifest["platform"], precision, by_tensorflow)
        if bound:
            print(f"\n  {bound}")
    print(f"\n  {end_words(metrics['counts'], seconds, in_one_go)}: {output}/{REPORT_FILE}")


def print_choice(gates: Gates) -> None:
    """Prints what `--baseline latest` was found to be; warns if there is nothing to compare with."""
    line = choice_line(gates)
    if line and gates.before is None:
        log.warning("%s", line)
    elif line:
        print(line, flush=True)


def end_words(counts: Mapping[str, int], seconds: float, in_one_go: bool) -> str:
    """Returns how many records took how long.

    >>> end_words({"records": 8000, "scored": 7988}, 16.0, in_one_go=True)
    '8,000 images in 16 s, 500 per second'
    """
    rate = f", {rate_words(counts['records'] / seconds)}" if in_one_go and seconds else ""
    return f"{number(counts['records'])} images in {format_time(seconds)}{rate}"


def rate_words(rate: float) -> str:
    """Returns how much is done a second.

    >>> rate_words(1234.5), rate_words(0.25)
    ('1,234 per second', '0.25 per second')
    """
    return f"{rate:,.0f} per second" if rate >= 10 else f"{rate:.2g} per second"


def plan_line(plan: Plan) -> str:
    """Returns what a plan's inputs and model are, as far as it is known before anything is read."""
    recipe, inputs, shards = plan.recipe, len(plan.inputs), len(plan.shards)
    records = [shard.records for shard in plan.shards]
    images = "" if None in records else f"{number(sum(filter(None, records)))} images in "
    size = f"{recipe.preprocessing.height}×{recipe.preprocessing.width}"
    return (
        f"{images}{number(inputs)} file{'s' * (inputs != 1)} of {recipe.input_format}, {number(shards)} "
        f"shard{'s' * (shards != 1)}; {number(len(recipe.labels))} labels, images of {size} pixels"
    )


def record_warnings(counts: Mapping[str, int], group_by: str | None, example: str | None = None) -> list[str]:
    """Returns a line for each doubt that the counts of records raise.

    Args:
        counts: perhaps `duplicate_ids`, and of grouped records `without_group`, and `groups` if there are intervals.
        group_by: the column that records are grouped by, or None.
        example: an id that several records have, if one is known.

    >>> record_warnings({"duplicate_ids": 2}, None, "photo-7")
    ["2 records have an id that an earlier record also has, such as 'photo-7'."]
    >>> record_warnings({"duplicate_ids": 0, "groups": 8, "without_group": 0}, "patient")
    ['there are only 8 groups by patient: with fewer than 20, intervals are unreliable.']
    """
    lines = []
    if counts.get("duplicate_ids"):
        such_as = "" if example is None else f", such as {example[:200]!r}"
        have = "record has" if counts["duplicate_ids"] == 1 else "records have"
        lines.append(f"{counts['duplicate_ids']:,} {have} an id that an earlier record also has{such_as}.")
    if counts.get("without_group") and counts.get("without_group") == counts.get("groups"):
        lines.append(
            f"no record has a value of {group_by}, so intervals treat each record as independent; check the name."
        )
    elif counts.get("without_group"):
        lines.append(f"{counts['without_group']:,} records have no value of {group_by}: each is a group of its own.")
    if counts.get("groups", FEW_GROUPS) < FEW_GROUPS:
        few = f"there are only {counts['groups']:,} groups by {group_by}"
        lines.append(f"{few}: with fewer than {FEW_GROUPS}, intervals are unreliable.")
    return lines


def bound_line(
    timings: Mapping[str, Any], platform: Mapping[str, Any], precision: str, by_tensorflow: bool = True
) -> str:
    """Says what took most of a run's time, and what would help; empty if the network was not asked.

    Args:
        timings: the manifest's, of a run that was scored in one go.
        platform: the manifest's.
        precision: what the network computed in.
        by_tensorflow: whether TensorFlow ran it, which alone computes in bfloat16 if it is asked to.

    >>> seconds = {"reading": 1.0, "decoding": 2.0, "predicting": 16.0, "writing": 1.0}
    >>> times = {"started": "2026-01-01T00:00:00", "ended": "2026-01-01T00:00:20"}
    >>> outside = {"seconds_to_first_batch": 5.0, "seconds_from_last_batch": 2.0}
    >>> bound_line({**times, **outside, "seconds": seconds}, {"processor_flags": []}, "float32")
    "predicting: 80 % of the threads' time; more cores or a smaller network would help"
    """
    before, after = timings["seconds_to_first_batch"], timings["seconds_from_last_batch"]
    seconds = timings["seconds"]
    if before is None or not any(seconds.values()):
        return ""
    started, ended = (datetime.fromisoformat(timings[name]) for name in ("started", "ended"))
    whole = (ended - started).total_seconds()
    if 2 * (before + after) > whole:
        return (
            f"start-up and end: {before + after:.0f} of {whole:.0f} s, before the first batch was scored and after the "
            "last; fewer, larger runs would help"
        )
    most = max(STAGES, key=seconds.__getitem__)
    advice = ADVICE[most]
    if most == PREDICTING and by_tensorflow and precision == FLOAT32 and ABLE & set(platform["processor_flags"]):
        advice = f"{platform['processor']} computes in bfloat16, so --precision bfloat16 may be faster"
    return (
        f"{most}: {seconds[most] / sum(seconds.values()):.0%}".replace("%", " %") + f" of the threads' time; {advice}"
    )


def forecast_lines(plan: Plan, left: int, rehearsal: Rehearsal, forecast: Forecast) -> list[str]:
    """Returns what a run is expected to take as lines of text; `left` of the plan's shards are still to be scored."""
    size, inputs = sum(max(file.size, 0) for file in plan.inputs), len(plan.inputs)
    about = "" if forecast.counted else "about "
    records = f"{about}{number(forecast.records)} records in {number(left)}"
    scoring = forecast.seconds - forecast.startup - forecast.end
    parts = {"whole": forecast.seconds, "start": forecast.startup, "scoring": scoring, "end": forecast.end}
    times = {name: format_time(seconds) for name, seconds in parts.items()}
    whole = sum(rehearsal.stages.values()) or 1
    shares = ", ".join(f"{stage} {100 * seconds / whole:.0f} %" for stage, seconds in rehearsal.stages.items())
    rejected = f"; {number(rehearsal.rejected)} of them rejected" if rehearsal.rejected else ""
    return [
        f"  input   {_bytes(size)} of {plan.recipe.input_format} in {number(inputs)} file{'s' * (inputs != 1)}: "
        f"{records}{f' of {number(len(plan.shards))}' if left < len(plan.shards) else ''} shards",
        f"  sample  {number(rehearsal.records)} records{rejected}; {shares} of the threads' time",
        f"  time    {times['whole']} on this machine: {times['start']} to start, {times['scoring']} for all records"
        f" ({number(round(rehearsal.records / rehearsal.seconds))} per second), {times['end']} to end",
        f"  cores   {format_time(forecast.processor_seconds)}, added up over them",
        f"  output  about {_bytes(forecast.output_bytes)}, less if images repeat",
        f"  memory  about {_bytes(forecast.memory_bytes)}, in one process",
        "  nothing was written; `bulklabel score` with the same flags does it",
    ]


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def format_time(seconds: float) -> str:
    """Returns a time in the unit that people would name it in.

    >>> format_time(64.2), format_time(5400), format_time(36000)
    ('64 s', '90 min', '10.0 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:,.1f} h"


def print_reused(output: str) -> None:
    """Prints how many records needed no scoring, as an output's `manifest.json` counts them."""
    reused = json.loads(files.read(files.join(files.absolute(output), MANIFEST_FILE)))["reused"]
    print(
        f"\n  {number(reused['records'])} records needed no scoring: earlier runs had scored or rejected their images"
    )


def print_comparison(output: str) -> None:
    """Prints the main figures of an output's `comparison.json`, and the path of its page; logs what is doubtful.

    Prints nothing with `--log_format json`.
    """
    content = json.loads(files.read(files.join(files.absolute(output), COMPARISON_FILE)))
    for line in record_warnings(content["records"], content["group_by"]):
        log.warning("%s", line)
    if is_json():
        return
    print(comparison_summary(content))
    print(f"\n  {output}/{REPORT_FILE}")


def comparison_summary(content: dict[str, Any]) -> str:
    """Returns headline metrics and the labels that flipped most, as lines of text."""
    records = content["records"]
    lines = [
        f"  {number(records['both'])} records in both runs, {number(records['with_truth'])} with truth; "
        f"{number(records['only_before'])} only before, {number(records['only_after'])} only after"
    ]
    repeated = records["repeated_before"] + records["repeated_after"]
    if repeated:
        lines.append(f"  {number(repeated)} records left out, whose id occurs more than once")
    if records["with_truth"]:
        lines += ["", CHANGE_ROW.format("", "before", "after", "change", "95 % interval")]
    for name, title in headlines(content["overall"]).items() if records["with_truth"] else ():
        row = content["overall"][name]
        values = number(row["before"]), number(row["after"]), format_change(row["change"])
        lines.append(CHANGE_ROW.format(title, *values, format_change_range(row["interval"])))
    if content["group_by"] is not None:
        lines += ["", _intervals_line(content["group_by"], records["groups"])]
    flipped = most_flipped(content["per_label"])[:MOST_FLIPPED]
    width = _label_width(row["label"] for row in flipped)
    lines += ["", FLIPS_ROW.format("label", "flips", "right", "wrong", width=width)]
    for row in flipped:
        flips = row["flips"]
        counts = (flips["became_present"] + flips["became_absent"], flips["became_right"], flips["became_wrong"])
        lines.append(FLIPS_ROW.format(_on_a_line(row["label"])[:width], *map(number, counts), width=width))
    return "\n".join(line.rstrip() for line in lines)


def summary(metrics: dict[str, Any], group_by: str | None = None) -> str:
    """Returns metrics as lines of text: a row for each label of large support, then averages with intervals.

    `group_by` is the column by whose groups the intervals are.
    """
    counts, overall = metrics["counts"], overall_with_undefined(metrics)
    lines = [
        f"  {number(counts['records'])} records: {number(counts['scored'])} scored, "
        f"{number(counts['rejected'])} rejected; {number(counts['with_truth'])} with truth"
    ]
    lines += [f"    {row['reason']}: {number(row['records'])}" for row in metrics["rejected"]]
    if metrics["unknown_labels"]:
        unknown = sorted(metrics["unknown_labels"].items(), key=lambda item: -item[1])
        names = [f"{_on_a_line(name)} ({number(records)})" for name, records in unknown[:MOST_UNKNOWN]]
        names += ["…"] * (len(unknown) > MOST_UNKNOWN)
        lines.append(f"  labels in the truth that the model does not know: {', '.join(names)}")
    if not counts["with_truth"]:
        if not counts["scored"]:
            return "\n".join([*lines, "  no record was scored, so there are no metrics"])
        return "\n".join([*lines, *_predicted_lines(metrics)])
    by_support = sorted(metrics["per_label"], key=lambda row: -row["support"])[:MOST_LABELS]
    width = _label_width(row["label"] for row in by_support)
    lines += ["", ROW.format("label", "support", "precision", "recall", "F1", "ROC AUC", width=width)]
    for row in (row for row in metrics["per_label"] if row in by_support):
        row = with_undefined(row)
        rates = [number(row[name]) for name in ("precision", "recall", "f1", "roc_auc")]
        lines.append(ROW.format(_on_a_line(row["label"])[:width], number(row["support"]), *rates, width=width))
    left = len(metrics["per_label"]) - len(by_support)
    lines += [f"  … and {number(left)} more, with smaller support" for _ in range(left > 0)]
    lines.append("")
    for average in ("micro", "macro", "weighted", "samples"):
        rates = [number(overall.get(f"{name}_{average}")) for name in ("precision", "recall", "f1", "roc_auc")]
        lines.append(ROW.format(average, "", *rates, width=width))
    lines.append("")
    for name, title in TITLES.items():
        interval = metrics["intervals"][name]
        extent = f"   95 %: {number(interval[0])} to {number(interval[1])}" if interval else ""
        lines.append(f"  {title:<14}{number(overall[name])}{extent}")
    if group_by is not None:
        lines.append(_intervals_line(group_by, counts["groups"]))
    return "\n".join(line.rstrip() for line in lines)


def _predicted_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Returns what was predicted without truth: the most frequent labels, and how many an image has."""
    rows = sorted(metrics["distributions"]["labels"], key=lambda row: -row["predicted"])
    shown = rows[:MOST_FREQUENT]
    width = _label_width(row["label"] for row in shown)
    lines = [
        "  no record has truth, so there are no metrics; this is what was predicted",
        "",
        PREDICTED_ROW.format("label", "predicted", "rate", "95 % interval", width=width),
    ]
    for row in shown:
        values = number(row["predicted"]), number(row["label_rate"]), format_range(row["label_rate_interval"])
        lines.append(PREDICTED_ROW.format(_on_a_line(row["label"])[:width], *values, width=width).rstrip())
    left = sum(row["predicted"] > 0 for row in rows[MOST_FREQUENT:])
    lines += [f"  … and {number(left)} more that were predicted" for _ in range(left > 0)]
    sizes = metrics["distributions"]["labels_per_record"]["predicted"]
    mean = sum(row["predicted"] for row in rows) / metrics["counts"]["scored"]
    return [*lines, "", f"  {mean:.2f} labels per image; {number(sizes[0])} images without any"]


def _intervals_line(group_by: str, groups: int) -> str:
    return f"  95 % intervals by {_on_a_line(group_by)}: {number(groups)} groups"


def _on_a_line(name: str) -> str:
    """Escapes what would break a line, or move a terminal's cursor, as Python writes it."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)


def _label_width(names: Iterable[str]) -> int:
    """Returns the columns that labels are given: what the longest needs, as far as the terminal is wide enough."""
    longest = max((len(_on_a_line(name)) for name in names), default=0)
    room = shutil.get_terminal_size().columns - NUMBERS_WIDTH
    return max(LABEL_WIDTH, min(longest, room))
