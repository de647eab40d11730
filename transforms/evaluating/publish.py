"""Publish: writes metrics, report and manifest, then `_SUCCESS`, inside the graph, so that no driver is needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import pyarrow as pa

from bulklabel.model.labels.predictions import REJECTED_SCHEMA
from bulklabel.model.metrics import curves_table, drawings, thresholds_file
from bulklabel.model.report import per_label_csv, render_report
from bulklabel.model.report.gallery import Thumbnail, gallery
from bulklabel.model.report.page_data import shown_labels
from bulklabel.model.statistic import Statistic
from bulklabel.model.statistic.distinct import Distinct
from bulklabel.model.statistic.hash_ids import hash_ids
from bulklabel.transforms.answers.answers import AnswerReader, Answers
from bulklabel.transforms.answers.find_answers import ANSWERS
from bulklabel.transforms.answers.run_answers import PartReader
from bulklabel.transforms.evaluating.acceptance import Acceptance, check_acceptance
from bulklabel.transforms.evaluating.latest_baseline import chosen_file
from bulklabel.transforms.evaluating.publication import Publication
from bulklabel.transforms.run_directory.file_names import (
    CURVES_FILE,
    MANIFEST_FILE,
    METRICS_FILE,
    PER_LABEL_FILE,
    PLAN_FILE,
    REJECTED_FILE,
    REPORT_FILE,
    THRESHOLDS_FILE,
)
from bulklabel.transforms.run_directory.manifest import (
    TIMINGS,
    Launch,
    Written,
    build_manifest,
    entry_of,
    first_ended,
    now,
    time_words,
)
from bulklabel.transforms.run_directory.parts import REUSED, to_parquet
from bulklabel.transforms.run_directory.plan import add_reused_of_parts
from bulklabel.transforms.run_directory.published_folder import PublishedFolder
from bulklabel.transforms.run_directory.run_directory import RunDirectory
from bulklabel.transforms.scoring.score_shards import ShardResult

RejectedRows = list[dict[str, Any]]
"""The first rejected records, as `REJECTED_SCHEMA` has them."""

MOST_REJECTED = 1000
"""So many rejected records of other systems' predictions are published; a run has all of its own in parts."""


class FirstRejected(beam.PTransform):  # type: ignore[misc]
    """Finds the first rejected records of all shards, by source and position; what comes out is one element."""

    def expand(self, results: beam.PCollection[ShardResult]) -> beam.PCollection[RejectedRows]:
        """Adds the steps that take and sort them."""
        return (
            results
            | "Rows" >> beam.FlatMap(_rejected_rows)
            | "First" >> beam.combiners.Top.Smallest(MOST_REJECTED, key=_place_of)
        )


def _rejected_rows(result: ShardResult) -> RejectedRows:
    rows: RejectedRows = result.rejected.table.slice(0, MOST_REJECTED).to_pylist()
    return rows


def _place_of(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["source"], row["position"]


class Publish(beam.PTransform):  # type: ignore[misc]
    """Waits for the statistic and for every part, then publishes the run."""

    def __init__(
        self,
        directory: RunDirectory,
        publication: Publication,
        launch: Launch,
        distinct: beam.PCollection[Distinct],
        thumbnails: beam.PCollection[Thumbnail],
        predictions: beam.PCollection[Written],
        rejected: beam.PCollection[Written],
    ) -> None:
        super().__init__()
        self._directory = directory
        self._publication = publication
        self._launch = launch
        self._distinct = distinct
        self._thumbnails = thumbnails
        self._predictions = predictions
        self._rejected = rejected

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[None]:
        """Adds the one step."""
        # Side inputs make it wait until every part is written and every thumbnail made: `_SUCCESS` is the last file.
        return statistic | beam.Map(
            _publish,
            self._directory,
            self._publication,
            self._launch,
            beam.pvalue.AsSingleton(self._distinct),
            beam.pvalue.AsList(self._thumbnails),
            beam.pvalue.AsList(self._predictions),
            beam.pvalue.AsList(self._rejected),
        )


class PublishEvaluation(beam.PTransform):  # type: ignore[misc]
    """Publishes metrics, report, a manifest without parts, and `_SUCCESS`, for a run that was scored before."""

    def __init__(
        self,
        answers: Answers,
        publication: Publication,
        distinct: beam.PCollection[Distinct],
        thumbnails: beam.PCollection[Thumbnail],
        rejected: beam.PCollection[RejectedRows],
    ) -> None:
        super().__init__()
        self._rejected = rejected
        self._reader = answers.reader
        self._content = answers.content
        self._publication = publication
        self._distinct = distinct
        self._thumbnails = thumbnails

    def expand(self, statistic: beam.PCollection[Statistic]) -> beam.PCollection[None]:
        """Adds the one step, with what was counted apart and the thumbnails as side inputs."""
        return statistic | beam.Map(
            _publish_evaluation,
            self._reader,
            self._content,
            self._publication,
            beam.pvalue.AsSingleton(self._distinct),
            beam.pvalue.AsList(self._thumbnails),
            beam.pvalue.AsList(self._rejected),
        )


def to_json(content: Mapping[str, Any]) -> bytes:
    r"""Returns content as published JSON: a line for each entry and for each of its own, such as a label's.

    The same content gives the same bytes. Lines are short enough to be read and few enough for 10,000 labels.

    >>> print(to_json({"f1": 0.5, "per_label": [{"f1": 0.5, "support": 2}]}).decode(), end="")
    {
      "f1": 0.5,
      "per_label": [
        {"f1": 0.5, "support": 2}
      ]
    }
    """
    lines = [f"  {_json(name)}: {_json_lines(value)}" for name, value in content.items()]
    return "\n".join(["{", ",\n".join(lines), "}\n"]).encode()


def _json_lines(value: Any) -> str:
    if isinstance(value, Mapping) and value:
        lines, (opening, closing) = [f"{_json(name)}: {_json(item)}" for name, item in value.items()], "{}"
    elif isinstance(value, list | tuple) and value:
        lines, (opening, closing) = [_json(item) for item in value], "[]"
    else:
        return _json(value)
    return "\n    ".join([opening, ",\n    ".join(lines)]) + f"\n  {closing}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _publish(
    statistic: Statistic,
    directory: RunDirectory,
    publication: Publication,
    launch: Launch,
    distinct: Distinct,
    thumbnails: Sequence[Thumbnail],
    predictions: Sequence[Written],
    rejected: Sequence[Written],
) -> None:
    plan = entry_of(PLAN_FILE, directory.read(PLAN_FILE))
    if publication.reused:
        reused = add_reused_of_parts(publication.reused, [part.entry.get(REUSED, ()) for part in predictions])
        publication = replace(publication, reused=reused)
    acceptance = check_acceptance(statistic, distinct, publication, _duplicate_example(PartReader(directory), distinct))
    files = metrics_files(statistic, publication, acceptance, thumbnails)
    manifest = build_manifest(
        publication.manifest_content,
        directory.stamp,
        launch,
        acceptance.manifest_content,
        [*predictions, *rejected],
        statistic.places,
        [plan, *(entry_of(name, content) for name, content in files.items())],
    )
    _publish_files(directory, files, manifest)
    if acceptance.refusal:
        raise acceptance.refusal


def _publish_evaluation(
    statistic: Statistic,
    reader: AnswerReader,
    answers: Mapping[str, Any],
    publication: Publication,
    distinct: Distinct,
    thumbnails: Sequence[Thumbnail],
    rejected: Sequence[RejectedRows],
) -> None:
    acceptance = check_acceptance(statistic, distinct, publication, _duplicate_example(reader, distinct))
    files = metrics_files(statistic, publication, acceptance, thumbnails)
    for rows in rejected:  # one element, or none
        files[REJECTED_FILE] = to_parquet(pa.Table.from_pylist(rows, REJECTED_SCHEMA))
    published = [entry_of(name, content) for name, content in files.items()]
    manifest = {
        **publication.manifest_content,
        TIMINGS: {"ended": time_words(now())},
        **acceptance.manifest_content,
        ANSWERS: answers,
        "published": published,
    }
    _publish_files(PublishedFolder(publication.output), files, manifest)
    if acceptance.refusal:
        raise acceptance.refusal


def _publish_files(folder: PublishedFolder, files: Mapping[str, bytes], manifest: dict[str, Any]) -> None:
    """Publishes files and their manifest; one that was judged before is as old as it was then."""
    manifest[TIMINGS] |= {"first_ended": first_ended(folder.read_if_there(MANIFEST_FILE), manifest)}
    folder.publish(files, to_json(manifest))


def _duplicate_example(reader: AnswerReader, distinct: Distinct) -> str | None:
    """Reads the id that several records have from the shard that has it; None if there is none."""
    if distinct.example is None:
        return None
    hashed, shard = distinct.example
    ids = reader.scored_ids(shard)
    return next((name for name, number in zip(ids, hash_ids(ids).tolist(), strict=True) if number == hashed), None)


def metrics_files(
    statistic: Statistic, publication: Publication, acceptance: Acceptance, thumbnails: Sequence[Thumbnail]
) -> dict[str, bytes]:
    """Returns by name what follows from the statistic, all from one set of metrics."""
    metrics = acceptance.metrics
    drawn = {}
    if metrics["counts"]["records"]:
        drawn = drawings(statistic, metrics["per_label"], shown_labels(metrics))
        drawn |= gallery(statistic.examples, thumbnails)
    return {
        METRICS_FILE: to_json(metrics),
        PER_LABEL_FILE: per_label_csv(metrics).encode(),
        THRESHOLDS_FILE: to_json(thresholds_file(metrics)),
        CURVES_FILE: to_parquet(curves_table(statistic, publication.labels)),
        REPORT_FILE: render_report(metrics, drawn, publication.origin, acceptance.verdicts).encode(),
        **chosen_file(publication.gates),
    }
