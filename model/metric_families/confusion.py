"""Counts right and wrong answers, four counts a label, and makes the rates that follow from them."""

from bulklabel.model.counting.block import Block
from bulklabel.model.counting.grouping import Grouping
from bulklabel.model.counting.sums import Sums
from bulklabel.model.counting.tally import Counts
from bulklabel.model.metric_families.family import Estimate, Family, NamedSums, Totals
from bulklabel.model.metric_families.quotients import divide_known, ratio


def known(sums: Sums) -> Counts:
    """Returns how many records' truth is known, by label."""
    return support(sums) + sums["false_positives"] + sums["true_negatives"]


def support(sums: Sums) -> Counts:
    """Returns in how many records the label is present, by label."""
    return sums["true_positives"] + sums["false_negatives"]


def fractions(sums: Sums) -> dict[str, tuple[Counts, Counts]]:
    """Returns numerator and denominator of each rate, by label (scikit-learn, `metrics/_classification.py`)."""
    tp, fp, fn = sums["true_positives"], sums["false_positives"], sums["false_negatives"]
    return {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "jaccard": (tp, tp + fp + fn),
    }


def _record_sums(block: Block, grouping: Grouping) -> NamedSums:
    wrong = block.present != block.predicted  # neither is set where truth is unknown
    return {
        "with_truth": grouping.by_record(block.with_truth),
        "all_correct": grouping.by_record(~wrong.any(axis=0)),
    }


def _label_sums(block: Block, grouping: Grouping) -> NamedSums:
    true_positives, present, predicted, answers = (
        grouping.by_label(rows) for rows in (block.hits, block.present, block.predicted, block.known)
    )
    return {
        "true_positives": true_positives,
        "false_positives": predicted - true_positives,
        "false_negatives": present - true_positives,
        "true_negatives": answers - predicted - present + true_positives,
    }


def _estimate(totals: Totals) -> Estimate:
    sums = totals.sums
    known_answers = known(sums)
    answers = int(known_answers.sum())
    wrong = int((sums["false_positives"] + sums["false_negatives"]).sum())
    right = sums["true_positives"] + sums["true_negatives"]
    return Estimate(
        overall={
            "subset_accuracy": ratio(int(sums["all_correct"]), int(sums["with_truth"])),
            "label_accuracy": ratio(answers - wrong, answers),
            "hamming_loss": ratio(wrong, answers),
        },
        per_label={
            "accuracy": divide_known(right, known_answers, known_answers),
            **{name: divide_known(*fraction, known_answers) for name, fraction in fractions(sums).items()},
        },
    )


CONFUSION = Family(_estimate, record_sums=_record_sums, label_sums=_label_sums)
"""Its sums `with_truth` (G) and the four counts by label (G×L) are what other families divide by."""
