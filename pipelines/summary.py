"""What a finished command prints: the metrics as a table, and where everything is."""

import json
from typing import Any

ROW = "  {:<12}{:>9}{:>11}{:>11}{:>9}{:>9}"


def print_summary(output: str) -> None:
    """Print the metrics in an output's `metrics.json`, and the place of its report, as the user named it."""
    from transforms import files
    from transforms.planning import METRICS_FILE, REPORT_FILE

    print(summary(json.loads(files.read(files.join(files.absolute(output), METRICS_FILE)))))
    print(f"\n  {output}/{REPORT_FILE}")


def summary(metrics: dict[str, Any]) -> str:
    """The metrics as lines of text, a row a label."""
    from model.report import format_number as number

    counts = metrics["counts"]
    lines = [
        f"  {number(counts['records'])} records: {number(counts['scored'])} scored, "
        f"{number(counts['rejected'])} rejected; {number(counts['with_truth'])} with truth"
    ]
    lines += [f"    {row['reason']}: {number(row['records'])}" for row in metrics["rejected"]]
    if metrics["unknown_labels"]:
        names = ", ".join(f"{name} ({number(records)})" for name, records in metrics["unknown_labels"].items())
        lines.append(f"  labels in the truth that the model does not know: {names}")
    if not counts["with_truth"]:
        return "\n".join([*lines, "  no record has truth, so there are no metrics"])
    lines += ["", ROW.format("label", "support", "precision", "recall", "f1", "accuracy")]
    for row in metrics["per_label"]:
        rates = [number(row[name]) for name in ("precision", "recall", "f1", "accuracy")]
        lines.append(ROW.format(row["label"][:12], number(row["support"]), *rates))
    overall = metrics["overall"]
    lines.append("")
    for average in ("micro", "macro", "weighted", "samples"):
        rates = [number(overall[f"{name}_{average}"]) for name in ("precision", "recall", "f1")]
        lines.append(ROW.format(average, "", *rates, ""))
    lines.append("")
    lines += [
        f"  {name.replace('_', ' '):<21}{number(overall[name])}"
        for name in ("subset_accuracy", "label_accuracy", "hamming_loss", "binary_crossentropy")
    ]
    return "\n".join(line.rstrip() for line in lines)
