"""Says what the page calls things: each metric's name and what it tells, for people who are no statisticians."""

from dataclasses import dataclass

HEADLINES = {
    "f1_micro": ("Micro F1", "Precision and recall as one number, over all answers."),
    "precision_micro": ("Micro precision", "Of the labels predicted, the share that is right."),
    "recall_micro": ("Micro recall", "Of the labels that are present, the share that was found."),
    "subset_accuracy": ("Exact match", "Share of records with every label right."),
    "f1_macro": ("Macro F1", "Mean over labels: a rare one counts as much as a common one."),
    "average_precision_macro": ("mAP", "Mean average precision: how well records are ranked, at any threshold."),
    "roc_auc_macro": ("Macro ROC AUC", "Chance that a record with the label ranks above one without."),
    "ece": ("ECE", "Expected calibration error: how far probabilities are from observed frequencies; 0 is best."),
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
    "jaccard": "Jaccard index",
    "average_precision": "Average precision (mAP)",
    "roc_auc": "ROC AUC",
    "specificity": "Specificity",
    "npv": "NPV",
    "balanced_accuracy": "Balanced accuracy",
    "mcc": "MCC",
}
"""Metric with averages in `overall` → its title."""

SINGLE = {
    "subset_accuracy": ("Exact match (subset accuracy)", "share of records with every label right"),
    "label_accuracy": ("Label accuracy", "share of right answers: 1 − Hamming loss"),
    "hamming_loss": ("Hamming loss", "share of wrong answers; 0 is best"),
    "label_ranking_average_precision": (
        "Label ranking average precision",
        "how high a record's true labels are ranked; 1 is best",
    ),
    "label_ranking_loss": ("Label ranking loss", "share of a record's pairs of labels in the wrong order; 0 is best"),
    "coverage_error": ("Coverage error", "how far down the ranking one must go to find all true labels"),
    "one_error": ("One-error", "share of records whose most probable label is wrong"),
    "precision_at_1": ("Precision at 1", "share of records whose most probable label is true"),
    "precision_at_3": ("Precision at 3", "share of true labels among a record's 3 most probable"),
    "precision_at_5": ("Precision at 5", "share of true labels among a record's 5 most probable"),
    "recall_at_1": ("Recall at 1", "share of a record's true labels that its most probable one finds"),
    "recall_at_3": ("Recall at 3", "share of a record's true labels among its 3 most probable"),
    "recall_at_5": ("Recall at 5", "share of a record's true labels among its 5 most probable"),
    "log_loss": ("Log loss", "mean negative log-likelihood of the truth, in nats; 0 is best"),
    "binary_crossentropy": ("Binary cross-entropy", "the log loss as Keras clips it"),
    "brier": ("Brier score", "mean squared difference between probabilities and the truth; 0 is best"),
    "ece": ("Expected calibration error (ECE)", "distance of probabilities from observed frequencies; 0 is best"),
    "support": ("Support", "number of present labels in all records"),
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


VIEWS = {"q": "Quality", "c": "Counts", "r": "More rates", "p": "Calibration", "d": "Predictions", "t": "Thresholds"}
"""Class of a table cell → the title of the view that shows it; a column of view `all` is always there."""

COLUMNS = (
    Column("support", "support", "all", "records in which the label is present"),
    Column("coverage", "known", "all", "share of records where it is known whether the label is present"),
    Column("f1", "F1", "q", "precision and recall as one number"),
    Column("precision", "precision", "q", "of the records predicted to have the label, the share that has it"),
    Column("recall", "recall", "q", "of the records that have the label, the share predicted to have it"),
    Column("average_precision", "AP", "q", "average precision: area under the precision–recall curve"),
    Column("roc_auc", "ROC AUC", "q", "chance that a record with the label ranks above one without"),
    Column("tp", "TP", "c", "true positives: present and predicted"),
    Column("fp", "FP", "c", "false positives: predicted, but absent"),
    Column("fn", "FN", "c", "false negatives: present, but not predicted"),
    Column("tn", "TN", "c", "true negatives: neither present nor predicted"),
    Column(
        "prevalence", "prevalence", "c", "of the records for which it is known, the share in which the label is present"
    ),
    Column("specificity", "specificity", "r", "of the records without the label, the share not predicted to have it"),
    Column(
        "npv",
        "NPV",
        "r",
        "negative predictive value: of the records not predicted to have it, the share without the label",
    ),
    Column("balanced_accuracy", "balanced acc.", "r", "mean of recall and specificity"),
    Column("mcc", "MCC", "r", "Matthews correlation coefficient of truth and predictions, -1 to 1"),
    Column("accuracy", "accuracy", "r", "share of right answers"),
    Column("jaccard", "Jaccard", "r", "TP ÷ (TP + FP + FN)"),
    Column("log_loss", "log loss", "p", "mean negative log-likelihood of the truth, in nats; 0 is best"),
    Column("brier", "Brier score", "p", "mean squared difference between probabilities and the truth; 0 is best"),
    Column(
        "ece", "ECE", "p", "expected calibration error: distance of probabilities from observed frequencies; 0 is best"
    ),
    Column("predicted", "predicted", "d", "records predicted to have the label, with known truth or without"),
    Column("label_rate", "rate", "d", "share of the scored records that were predicted to have the label"),
    Column("near_threshold", "near threshold", "d", "records whose probability is within 0.1 of the threshold"),
    Column("threshold", "threshold", "t", "a record with this probability or more is predicted to have the label"),
    Column("suggested_threshold", "suggested", "t", "the threshold that reaches the goal"),
    Column("suggested_f1", "its F1", "t", "F1 at the suggested threshold"),
    Column("suggested_precision", "its precision", "t", "precision at the suggested threshold"),
    Column("suggested_recall", "its recall", "t", "recall at the suggested threshold"),
    Column("suggested_predicted", "its records", "t", "records predicted at the suggested threshold"),
)


def goal_sentence(goal: str, target: float | None) -> str:
    """Returns a sentence on what the suggested thresholds are for."""
    number = 0 if target is None else target
    return {
        "f1": "Suggested thresholds give the best F1 on these records.",
        "precision": f"Suggested thresholds keep precision at {number:g} or above, with the largest recall.",
        "recall": f"Suggested thresholds keep recall at {number:g} or above, with the highest threshold.",
        "specificity": f"Suggested thresholds keep specificity at {number:g} or above, with the largest recall.",
        "budget": f"Suggested thresholds predict each label for at most {number:,.0f} records.",
    }[goal]
