"""Says what the page calls things: each metric's name and what it tells, for people who are no statisticians."""

from dataclasses import dataclass

HEADLINES = {
    "f1_micro": ("F1", "Precision and recall as one number."),
    "precision_micro": ("Precision", "Of the labels given, the share that is right."),
    "recall_micro": ("Recall", "Of the labels that are there, the share that was found."),
    "subset_accuracy": ("All labels right", "Share of records without any mistake."),
    "f1_macro": ("Mean F1", "Over labels: a rare one counts as much as a common one."),
    "average_precision_macro": ("Mean average precision", "How well records are ranked, at any threshold."),
    "roc_auc_macro": ("Mean ROC AUC", "Chance that a record with the label ranks above one without."),
    "ece": ("Calibration error", "How far probabilities are from what happens; 0 is best."),
}
"""Metric of `overall` → its title and one sentence."""

AVERAGES = {
    "micro": "all answers pooled",
    "macro": "mean over labels",
    "weighted": "mean over labels, by support",
    "samples": "mean over records",
}

AVERAGED = {
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "jaccard": "Jaccard",
    "average_precision": "Average precision",
    "roc_auc": "ROC AUC",
}

SINGLE = {
    "subset_accuracy": ("Subset accuracy", "share of records with every label right"),
    "label_accuracy": ("Label accuracy", "share of right answers"),
    "hamming_loss": ("Hamming loss", "share of wrong answers"),
    "label_ranking_average_precision": (
        "Label ranking average precision",
        "how high a record's true labels are ranked; 1 is best",
    ),
    "label_ranking_loss": ("Label ranking loss", "share of a record's pairs of labels in the wrong order; 0 is best"),
    "coverage_error": ("Coverage error", "how far down the ranking one must go to find all true labels"),
    "one_error": ("One-error", "share of records whose first label is wrong"),
    "precision_at_1": ("Precision at 1", "share of true labels among a record's first"),
    "precision_at_3": ("Precision at 3", "share of true labels among a record's first 3"),
    "precision_at_5": ("Precision at 5", "share of true labels among a record's first 5"),
    "recall_at_1": ("Recall at 1", "share of a record's true labels found by its first"),
    "recall_at_3": ("Recall at 3", "share of a record's true labels found by its first 3"),
    "recall_at_5": ("Recall at 5", "share of a record's true labels found by its first 5"),
    "log_loss": ("Log loss", "surprise about the truth, in nats; 0 is best"),
    "binary_crossentropy": ("Binary cross-entropy", "the log loss as Keras clips it"),
    "brier": ("Brier score", "squared distance of probabilities from the truth; 0 is best"),
    "ece": ("Expected calibration error", "distance of probabilities from frequencies; 0 is best"),
    "support": ("Support", "how often any label is present"),
}

DRIFT = {
    "drift_label_rate_max": ("Rate of a label", "largest change of a label's rate"),
    "drift_probabilities_max": ("Probabilities of a label", "largest divergence of a label's probabilities"),
    "drift_probabilities_mean": ("Probabilities", "mean of the labels' divergences"),
    "drift_formats": ("Image formats", "divergence"),
    "drift_sizes": ("Image sizes", "divergence, by the longer side in powers of two"),
    "drift_rejected_fraction": ("Rejected records", "change of the share of records that were rejected"),
}
"""Number of `drift` → its title and how it is measured."""

LOSSES = ("hamming_loss", "log_loss", "binary_crossentropy", "label_ranking_loss")
LOWER_IS_BETTER = frozenset((*LOSSES, "brier", "ece", "coverage_error", "one_error"))


@dataclass(frozen=True)
class Column:
    """Describes a column of the table of labels: its key in a flattened row, its title, its view, and its meaning."""

    key: str
    title: str
    view: str
    meaning: str


VIEWS = {"q": "Quality", "c": "Counts", "p": "Probabilities", "t": "Thresholds"}
"""Class of a table cell → the title of the view that shows it; a column of view `all` is always there."""

COLUMNS = (
    Column("support", "records", "all", "records that have the label"),
    Column("coverage", "known", "all", "share of records where it is known whether they have the label"),
    Column("f1", "F1", "q", "precision and recall as one number"),
    Column("precision", "precision", "q", "of the records given the label, the share that has it"),
    Column("recall", "recall", "q", "of the records that have the label, the share that was given it"),
    Column("average_precision", "avg. precision", "q", "area under the precision–recall curve"),
    Column("roc_auc", "ROC AUC", "q", "chance that a record with the label ranks above one without"),
    Column("tp", "found", "c", "true positives: has the label and was given it"),
    Column("fn", "missed", "c", "false negatives: has the label and was not given it"),
    Column("fp", "wrongly given", "c", "false positives: was given the label and does not have it"),
    Column("tn", "rightly left", "c", "true negatives: neither has the label nor was given it"),
    Column("accuracy", "accuracy", "c", "share of right answers"),
    Column("jaccard", "Jaccard", "c", "found, as a share of found, missed and wrongly given"),
    Column("log_loss", "log loss", "p", "surprise about the truth, in nats; 0 is best"),
    Column("brier", "Brier", "p", "squared distance of probabilities from the truth; 0 is best"),
    Column("ece", "calibration error", "p", "distance of probabilities from frequencies; 0 is best"),
    Column("threshold", "threshold", "t", "a record is given the label from this probability on"),
    Column("suggested_threshold", "suggested", "t", "the threshold that reaches the goal"),
    Column("suggested_f1", "its F1", "t", "F1 at the suggested threshold"),
    Column("suggested_precision", "its precision", "t", "precision at the suggested threshold"),
    Column("suggested_recall", "its recall", "t", "recall at the suggested threshold"),
    Column("suggested_predicted", "its records", "t", "records given the label at the suggested threshold"),
)


def goal_sentence(goal: str, target: float | None) -> str:
    """Returns a sentence on what the suggested thresholds are for."""
    number = 0 if target is None else target
    return {
        "f1": "Suggested thresholds make F1 as high as it gets on these records.",
        "precision": f"Suggested thresholds keep precision at {number:g} or above, with as much recall as that allows.",
        "recall": f"Suggested thresholds keep recall at {number:g} or above, with as much precision as that allows.",
        "budget": f"Suggested thresholds give a label to at most {number:,.0f} records, and find what they can.",
    }[goal]
