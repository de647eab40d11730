"""`bulklabel evaluate`: the metrics of a finished run again, without scoring anything."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.images.kinds import IMAGE_PROPERTIES
from bulklabel.model.labels.examine_rule import truth_line
from bulklabel.model.labels.thresholds import TUNED
from bulklabel.model.report import plotting_library
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.console.logs import inform, log
from bulklabel.pipelines.console.tables import print_choice, print_summary
from bulklabel.pipelines.flags.values import gates_of, goal_of, label_options_of, read_label_file, slice_columns
from bulklabel.pipelines.run_command import run_command
from bulklabel.pipelines.runners.check_submission import check_submission
from bulklabel.transforms.answers.answers import Answers, ReadAnswers
from bulklabel.transforms.answers.find_answers import find_answers
from bulklabel.transforms.answers.prediction_answers import find_predictions, prediction_line
from bulklabel.transforms.answers.replace_truth import ReplaceTruth, count_used_truth, load_unchanged
from bulklabel.transforms.answers.run_answers import RUN
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.evaluating.count_distinct import CountDistinct, partitions_of
from bulklabel.transforms.evaluating.evaluate import Evaluate, Evaluation
from bulklabel.transforms.evaluating.latest_baseline import Asked, keep_choice, with_latest
from bulklabel.transforms.evaluating.publication import Publication
from bulklabel.transforms.evaluating.publish import FirstRejected, PublishEvaluation
from bulklabel.transforms.evaluating.thumbnails import MakeThumbnails
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.files.text import json_value
from bulklabel.transforms.planning.thresholds import choose_thresholds, threshold_source
from bulklabel.transforms.predictions.choose_spec import PredictionOptions, without_truth
from bulklabel.transforms.reading.records import Columns
from bulklabel.transforms.run_directory.file_names import PLAN_FILE, REPORT_FILE
from bulklabel.transforms.run_directory.planned_shards import ListShards
from bulklabel.transforms.run_directory.published_folder import PublishedFolder
from bulklabel.transforms.truth.truth_source import find_truth
from bulklabel.transforms.truth.truth_table import TruthTable

LoadedTruth = OncePerProcess[TruthTable] | None


def build(
    root: beam.Pipeline,
    answers: Answers,
    truth: LoadedTruth,
    publication: Publication,
) -> None:
    """Adds the whole graph to a pipeline."""
    reader, group_by = answers.reader, publication.group_by
    shards = root | "Start" >> beam.Impulse() | "Shards" >> ListShards(reader.shards)
    results = shards | "Reshuffle" >> beam.Reshuffle() | "Read" >> beam.ParDo(ReadAnswers(reader))
    if truth is not None:
        results = results | "ReplaceTruth" >> beam.ParDo(ReplaceTruth(truth))
    evaluation = Evaluation(publication.labels, publication.thresholds, publication.slice_by, group_by)
    statistic = results | "Evaluate" >> Evaluate(evaluation)
    distinct = results | "CountDistinct" >> CountDistinct(partitions_of(answers.records), group_by)
    thumbnails = (
        root | "NoThumbnails" >> beam.Create([])
        if answers.recipe is None
        else statistic | "Thumbnails" >> MakeThumbnails(shards, answers.recipe)
    )
    # A run has its rejected records in parts; of predictions nothing else says which these are.
    rejected = root | "NoRejected" >> beam.Create([]) if answers.recipe else results | "Rejected" >> FirstRejected()
    _ = statistic | "Publish" >> PublishEvaluation(answers, publication, distinct, thumbnails, rejected)


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:
    """Reads the answers of a run, and publishes metrics and report elsewhere.

    Raises:
        UserError: if the run, the truth or the output cannot be used.
    """
    inputs = {"--predictions": options.predictions} if options.predictions else {"--input": [options.input]}
    check_submission(pipeline_options, inputs | {"--output": [options.output], "--truth": options.truth})
    plotting_library()
    account = current()
    account.output, account.report = options.output, f"{options.output}/{REPORT_FILE}"
    output = files.absolute(options.output)
    if not options.predictions and files.same_place(options.input, output):
        raise UserError(f"--output {options.output} is the run itself, whose metrics are kept; give another place.")
    with fail_fast():
        answers = predictions_of(options) if options.predictions else find_answers(options.input)
        group_by = options.group_by or answers.group_by
        slice_by = slice_columns(options)
        in_run = () if answers.recipe is None else IMAGE_PROPERTIES
        _check_carried("--slice_by", [name for name in slice_by if name not in in_run], answers)
        _check_carried("--group_by", [group_by] if group_by else [], answers)
        if files.exists(files.join(output, PLAN_FILE)):
            raise UserError(f"--output {options.output} is a run, whose metrics are kept; give another place.")
        gates = gates_of(options, answers.labels, output, group_by)
        of, model = (answers.about.get(name) for name in ("plan", "model_digest"))
        asked = Asked(of or answers.about["predictions_digest"], model, answers.labels, is_evaluation=True)
        gates = with_latest(gates, PublishedFolder(output), asked)
        answers = judged(answers, options)
        truth, truth_about = _truth_of(answers, options)
        answers = replace(answers, reader=answers.reader.carrying([*slice_by, *([group_by] if group_by else [])]))
    account.plan = answers.about.get("plan")
    publication = Publication(
        output,
        answers.labels,
        answers.thresholds,
        {**({} if options.predictions else {RUN: options.input}), **answers.about, **truth_about},
        goal_of(options),
        slice_by,
        group_by,
        gates=gates,
        truth=answers.truth_words if truth is None else json_value(truth.get().content),
        threshold_source=threshold_source(
            options.threshold, answers.thresholds, answers.tuned_thresholds, "as they were judged before"
        ),
    )
    files.check_writable(output)
    print_choice(gates)
    keep_choice(PublishedFolder(output), gates)
    inform("started", records=answers.records)
    with beam.Pipeline(options=pipeline_options) as root:
        build(root, answers, truth, publication)
    inform("published")
    print_summary(options.output, account.seconds)


def predictions_of(options: argparse.Namespace) -> Answers:
    """Returns the answers in the tables that `--predictions` names; prints and logs how they are read."""
    if options.threshold == TUNED:
        raise UserError("--threshold tuned: predictions have no tuned thresholds; give a number or a file.")
    truth = replace(label_options_of(options, None), field=options.labels_column, unknown_field=options.unknown_column)
    how_read = PredictionOptions(
        probabilities=options.probabilities,
        labels=read_label_file(options.label_file) if options.label_file else None,
        id_column=options.id_column,
        outputs=options.outputs,
        truth=truth,
        carried=(*slice_columns(options), *([options.group_by] if options.group_by else [])),
    )
    answers = find_predictions(
        options.predictions, without_truth(how_read) if options.truth else how_read, files.absolute(options.output)
    )
    print(prediction_line(answers))
    if not options.truth:
        print(truth_line(answers.truth_words))
    for warning in answers.truth_words["warnings"]:
        log.warning(warning)
    return answers


def judged(answers: Answers, options: argparse.Namespace) -> Answers:
    """Returns the answers with the thresholds and the truth that the flags ask for, else with their own."""
    if options.threshold is not None:
        thresholds = choose_thresholds(options.threshold, answers.tuned_thresholds, answers.labels)
        answers = replace(answers, thresholds=thresholds)
    if options.truth:
        columns = Columns(id=options.id_column, labels=options.labels_column, unknown=options.unknown_column)
        label_options = label_options_of(options, answers.labels)
        answers = replace(answers, truth=find_truth(options.truth, columns, label_options, options.truth_key))
    return answers


def _truth_of(
    answers: Answers, options: argparse.Namespace
) -> tuple[OncePerProcess[TruthTable] | None, dict[str, Any]]:
    """Returns what loads the truth that counts instead of the answers' own, None without; and what is said of it."""
    if answers.truth is None:
        return None, {}
    # A column of ids that the user names for the truth alone must be there; an earlier evaluation's was there then.
    id_may_lack = bool(options.predictions or not options.truth)
    truth = OncePerProcess(load_unchanged, answers.truth, answers.labels, id_may_lack)
    table = truth.get()
    records, used = len(table.ids), count_used_truth(answers.reader.ids, table)
    print("\n".join(_truth_lines(records, used, table.labels_without_column, answers.labels)))
    print(truth_line(json_value(table.content)))
    paths = options.truth or [file.path for file in answers.truth.files]
    return truth, {"truth": ", ".join(paths), "truth_records": records, "truth_records_used": used}


def _check_carried(flag: str, columns: Sequence[str], answers: Answers) -> None:
    carried = ", ".join(answers.carried)
    for column in columns:
        if column in answers.carried:
            continue
        if answers.recipe is None:
            known = " Formats and sizes are known of images that `score` has read." * (column in IMAGE_PROPERTIES)
            raise UserError(
                f"{flag} {column}: the predictions have no such column; there are {carried or 'no others'}.{known}"
            )
        raise UserError(
            f"{flag} {column}: the run has no such column; it carried {carried or 'nothing'}: score with --carry "
            f"{column}."
        )


def _truth_lines(records: int, used: int, without_column: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Returns what is reported of truth from elsewhere before it is used."""
    lines = [f"truth of {records:,} records, {records - used:,} of them not in the run"]
    if without_column:
        names = ", ".join(without_column[:10]) + ", …" * (len(without_column) > 10)
        lines.append(f"{len(without_column):,} of {len(labels):,} labels have no column, so are unknown: {names}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel evaluate`; returns the exit code."""
    return run_command("evaluate", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
