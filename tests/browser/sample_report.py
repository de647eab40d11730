"""Invented metrics of any number of labels; `python -m tests.browser.sample_report OUT N` writes their report."""

import base64
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score

from bulklabel.model.metrics.drift import OVERALL, PER_LABEL
from bulklabel.model.report import render_report

Truth = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

NASTY = "<script>alert(1)</script>"
PROVENANCE = {
    "output": "/runs/shop/monday",
    "thresholds": "one for each label, 0.3 to 0.7",
    "model": "models/shop",
    "plan": "6f1c" * 16,
    "input_files": 12,
    "versions": {"tensorflow": "2.21.0"},
}
VERDICTS: list[dict[str, Any]] = [
    {"requirement": "f1_micro>=0.5", "value": 0.8123, "limit": 0.5, "passed": True, "reason": None},
    {"requirement": f"recall[{NASTY}]>=baseline-0.02", "value": 0.71, "limit": 0.9, "passed": False, "reason": None},
    {
        "requirement": "drift_formats<=0.1",
        "value": None,
        "limit": 0.1,
        "passed": False,
        "reason": "no value: there are no records to tell it",
    },
]
RATES = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
RANKING = {"roc_auc": roc_auc_score, "average_precision": average_precision_score}


class Sample:
    """`metrics` and `drawings` of records with correlated labels, of which some are rare and some hard to tell."""

    def __init__(self, names: Sequence[str], records: int = 3000, *, with_truth: bool = True) -> None:
        random = np.random.default_rng(len(names))
        self.names = list(names)
        shares = 0.35 * random.power(0.8, len(names)).clip(0.03)
        self.truth: Truth = random.random((records, len(names))) < shares
        skill = random.uniform(1.2, 4, len(names))
        logits = skill * (2 * self.truth - 1) + random.normal(0, 1.8, self.truth.shape) - 0.3
        self.scores: Values = 1 / (1 + np.exp(-logits))
        self.thresholds: Values = random.uniform(0.3, 0.7, len(names)).round(4)
        self.predicted: Truth = self.scores >= self.thresholds
        self.metrics = self._metrics(with_truth)
        self.drawings = self._drawings(with_truth)

    def page(self) -> str:
        """The report."""
        return render_report(self.metrics, self.drawings, PROVENANCE, VERDICTS)

    def _metrics(self, with_truth: bool) -> dict[str, Any]:
        records = len(self.truth)
        overall = self._overall(np.ones(records, bool)) if with_truth else {}
        return {
            "counts": {
                "records": records + 7,
                "scored": records,
                "rejected": 7,
                "with_truth": records * with_truth,
                "duplicate_ids": 0,
            },
            "overall": overall,
            "intervals": {
                name: around(value, 0.01)
                for name, value in overall.items()
                if not name.endswith(("_bounds", "support"))
            },
            "per_label": [self._row(index, with_truth) for index in range(len(self.names))],
            "thresholds": {"goal": "precision", "target": 0.95, "suggested": self._suggested_for_all(with_truth)},
            "slices": self._slices() if with_truth else {},
            "rejected": [
                {"stage": "decode", "reason": "damaged_image", "records": 5},
                {"stage": "read", "reason": "missing_image", "records": 2},
            ],
            "unknown_labels": {"zebra": 3, NASTY: 1},
            "drift": self._drift(),
            "distributions": self._distributions(with_truth),
        }

    def _suggested_for_all(self, with_truth: bool) -> dict[str, Any]:
        values = [0.81, 0.84] if with_truth else [None, None]
        return dict(zip(("f1_micro", "f1_macro"), values, strict=True))

    def _distributions(self, with_truth: bool) -> dict[str, Any]:
        records = len(self.truth)
        rows = []
        for index, name in enumerate(self.names):
            scores, given = self.scores[:, index], int(self.predicted[:, index].sum())
            rows.append(
                {
                    "label": name,
                    "predicted": given,
                    "label_rate": given / records,
                    "label_rate_interval": around(given / records, 0.01),
                    "near_threshold": int((abs(scores - self.thresholds[index]) <= 0.1).sum()),
                    "histogram": np.histogram(scores, 16, (0, 1))[0].tolist(),
                }
            )
        sizes = {"predicted": np.bincount(self.predicted.sum(axis=1)).tolist()}
        sizes["present"] = np.bincount(self.truth.sum(axis=1)).tolist() if with_truth else []
        formats = {"JPEG": records - 20, "PNG": 20}
        return {
            "labels": rows,
            "labels_per_record": sizes,
            "formats": formats,
            "sizes": {"512": 20, "1024": records - 20},
        }

    def _drift(self) -> dict[str, Any]:
        random = np.random.default_rng(1)
        before, now = random.uniform(0, 0.5, len(self.names)), self.predicted.mean(axis=0)
        rows: list[dict[str, Any]] = [
            {
                "label": name,
                "baseline_rate": float(before[index]),
                "label_rate": float(now[index]),
                "drift_label_rate": abs(float(now[index] - before[index])),
                "drift_probabilities": float(random.uniform(0, 0.1)),
            }
            for index, name in enumerate(self.names)
        ]
        most = {f"{name}_max": max(rows, key=lambda row: row[name]) for name in PER_LABEL}
        overall = dict.fromkeys(OVERALL, 0.0421) | {name: row[name[:-4]] for name, row in most.items()}
        return {"overall": overall, "most": {name: row["label"] for name, row in most.items()}, "per_label": rows}

    def _overall(self, chosen: Truth) -> dict[str, Any]:
        truth, predicted = self.truth[chosen], self.predicted[chosen]
        found: dict[str, Any] = {
            "subset_accuracy": float((truth == predicted).all(axis=1).mean()),
            "hamming_loss": float((truth != predicted).mean()),
            "support": int(truth.sum()),
            "ece": 0.0312,
        }
        for name, score in RATES.items():
            for average in ("micro", "macro", "weighted", "samples"):
                found[f"{name}_{average}"] = float(score(truth, predicted, average=average, zero_division=0))
        for name in RANKING:
            for average in ("micro", "macro", "weighted"):
                found[f"{name}_{average}"] = 0.9 if average == "micro" else 0.87
                found[f"{name}_{average}_bounds"] = around(found[f"{name}_{average}"], 0.00004)
        return found

    def _row(self, index: int, with_truth: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"label": self.names[index], "threshold": float(self.thresholds[index])}
        names = ("accuracy", "precision", "recall", "f1", "jaccard", "roc_auc", "average_precision", "log_loss")
        if not with_truth:
            counts = dict.fromkeys(("support", "tp", "fp", "fn", "tn", "known"), 0) | {"unknown": len(self.truth)}
            return row | counts | dict.fromkeys([*names, "coverage", "roc_auc_bounds", "suggested"])
        truth, predicted, scores = self.truth[:, index], self.predicted[:, index], self.scores[:, index]
        tp, fp, fn = int((truth & predicted).sum()), int((~truth & predicted).sum()), int((truth & ~predicted).sum())
        unknown = 40 if index == 1 else 0
        tn = len(truth) - tp - fp - fn
        row |= {"support": tp + fn, "tp": tp, "fp": fp, "fn": fn, "tn": tn}
        row |= {"specificity": tn / max(1, tn + fp), "npv": tn / max(1, tn + fn), "prevalence": (tp + fn) / len(truth)}
        row |= {"balanced_accuracy": 0.7, "mcc": 0.6}
        row |= {"known": len(truth), "unknown": unknown, "coverage": len(truth) / (len(truth) + unknown)}
        row |= {"accuracy": float((truth == predicted).mean()), "precision": tp / max(1, tp + fp)}
        row |= {"recall": tp / max(1, tp + fn), "f1": 2 * tp / max(1, 2 * tp + fp + fn), "jaccard": tp / (tp + fp + fn)}
        row |= {name: float(score(truth, scores)) if tp + fn else None for name, score in RANKING.items()}
        row |= {f"{name}_bounds": around(row[name], 0.00005) for name in RANKING}
        row |= {"log_loss": 0.2, "brier": 0.05, "ece": 0.03, "suggested": self._suggested(index)}
        return row | {"intervals": {name: around(row[name], 0.02) for name in names}}

    def _suggested(self, index: int) -> dict[str, Any]:
        truth, scores = self.truth[:, index], self.scores[:, index]
        predicted = scores >= 0.8
        found = int((truth & predicted).sum())
        return {
            "threshold": 0.8,
            "precision": found / max(1, int(predicted.sum())),
            "recall": found / max(1, int(truth.sum())),
            "f1": 2 * found / max(1, int(predicted.sum() + truth.sum())),
            "predicted": int(predicted.sum()),
            "tp": found,
            "fp": int((predicted & ~truth).sum()),
        }

    def _slices(self) -> dict[str, Any]:
        values = ["Nikon", "Canon", NASTY, "Hasselblad, with a name that is long", None, None]
        of_record = np.arange(len(self.truth)) ** 2 % 91 % len(values)
        return {"camera": [self._slice(of_record == place, value, place == 5) for place, value in enumerate(values)]}

    def _slice(self, chosen: Truth, value: str | None, other: bool) -> dict[str, Any]:
        overall = self._overall(chosen)
        count = int(chosen.sum())
        return {
            "value": value,
            "other": other,
            "counts": {"records": count, "with_truth": count},
            "overall": overall,
            "intervals": {"f1_micro": around(overall["f1_micro"], 0.015)},
            "per_label": [],
        }

    def _drawings(self, with_truth: bool) -> dict[str, Any]:
        every = range(len(self.names))
        examples = [example for index in every for example in self._examples(index, with_truth)]
        places = sorted({example["record"] for example in examples})
        known = self.truth if with_truth else self.truth[:0]
        thumbnails = [thumbnail(seed) for seed in range(12)]
        return {
            "cuts": [
                cuts(known[:, index], self.scores[:, index], [float(self.thresholds[index]), 0.8]) for index in every
            ],
            "all_cuts": cuts(known.ravel(), self.scores.ravel()),
            "reliability": [reliability(known[:, index], self.scores[:, index]) for index in every],
            "all_reliability": reliability(known.ravel(), self.scores.ravel()),
            "pairs": self._pairs(with_truth),
            "examples": [example | {"record": places.index(example["record"])} for example in examples],
            "records": [self._record(place, with_truth) for place in places],
            "thumbnails": thumbnails,
        }

    def _record(self, place: int, with_truth: bool) -> dict[str, Any]:
        labels = np.argsort(-self.scores[place], kind="stable")[:20].tolist()
        truth = self.truth[place] if with_truth else np.full(len(self.names), -1)
        return {
            "id": NASTY if place % 5 == 0 else f"photo-{place:05d}",
            "source": "photos/part-0.parquet",
            "position": place,
            "thumbnail": None if place % 7 == 3 else place % 12,
            "answers": [
                [label, float(self.scores[place, label]), int(self.predicted[place, label]), int(truth[label])]
                for label in labels
            ],
        }

    def _pairs(self, with_truth: bool) -> dict[str, Any]:
        shown = list(range(min(40, len(self.names))))
        truth, predicted = (rows[:, shown].astype(np.int64) for rows in (self.truth * with_truth, self.predicted))
        missed, wrong = truth & ~predicted, ~truth & predicted & with_truth
        confused = missed.T @ wrong
        together = predicted.T @ predicted
        return {
            "labels": shown,
            "truth": (truth.T @ truth).tolist(),
            "predicted": together.tolist(),
            "confused": confused.tolist(),
            "top_confused": most_of(confused),
            "top_predicted": most_of(np.triu(together, 1)),
        }

    def _examples(self, index: int, with_truth: bool) -> list[dict[str, Any]]:
        truth, scores, predicted = self.truth[:, index], self.scores[:, index], self.predicted[:, index]
        orders = {
            "false_positive": np.argsort(np.where(~truth & predicted, -scores, 1))[: (~truth & predicted).sum()],
            "false_negative": np.argsort(np.where(truth & ~predicted, scores, 1))[: (truth & ~predicted).sum()],
            "certain": np.argsort(-scores),
            "uncertain": np.argsort(abs(scores - self.thresholds[index])),
        }
        shown = ("false_positive", "false_negative", "uncertain") if with_truth else ("certain", "uncertain")
        return [{"kind": kind, "label": index, "record": int(record)} for kind in shown for record in orders[kind][:4]]


def most_of(cells: np.ndarray) -> list[list[int]]:
    """At most fifty cells with the largest counts."""
    most = np.argsort(-cells, axis=None, kind="stable")[:50]
    places = [(int(place // len(cells)), int(place % len(cells))) for place in most]
    return [[i, j, int(cells[i, j])] for i, j in places if cells[i, j]]


def names_of(labels: int) -> list[str]:
    """Names of labels; the third is nasty."""
    words = ["dress", "summer shoes", NASTY, "handbag", "a label with a name that is very much longer than others"]
    return (words + [f"label {index}" for index in range(len(words), labels)])[:labels]


def around(value: float | None, width: float) -> list[float] | None:
    """A range with the value inside."""
    return None if value is None else [max(0.0, value - width), value + width]


def cuts(truth: Truth, scores: Values, marks: Sequence[float] = ()) -> list[list[float]]:
    """About 64 thresholds, falling, each with the true and the false positives there, and all that are predicted."""
    found = []
    known = scores[: len(truth)]
    for threshold in sorted({*np.quantile(scores, np.linspace(1, 0, 64)).tolist(), *marks}, reverse=True):
        hits = known >= threshold
        counts = (truth & hits).sum(), (~truth & hits).sum(), (scores >= threshold).sum()
        found.append([threshold, *map(int, counts)])
    return found


def reliability(truth: Truth, scores: Values) -> list[list[Any]]:
    """Ten bins of probability: records, those with the label, mean probability."""
    scores = scores[: len(truth)]
    bins = np.minimum((scores * 10).astype(int), 9)
    inside = [bins == place for place in range(10)]
    return [
        [int(here.sum()), int(truth[here].sum()), float(scores[here].mean()) if here.any() else None] for here in inside
    ]


def thumbnail(seed: int) -> str:
    """A small picture as a data URI."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((64, 64)).save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(Sample(names_of(int(sys.argv[2]))).page())
