"""`bulklabel calibrate`: a model directory and a run with truth in, a model directory with true probabilities out."""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from apache_beam.options.pipeline_options import PipelineOptions

from bulklabel.model.errors import UserError
from bulklabel.model.labels.predictions import probabilities_of, truth_of
from bulklabel.model.labels.truth import UNKNOWN, Truth
from bulklabel.model.metrics.threshold_goals import ENOUGH, tune_thresholds
from bulklabel.model.model_directory import Model
from bulklabel.model.network.golden_images import add_golden
from bulklabel.model.network.import_tensorflow import import_tensorflow
from bulklabel.model.training.calibrate import HIGHEST, LOWEST, Calibration, Reliability, fit_calibration
from bulklabel.model.versions import ONNX, engine_versions
from bulklabel.pipelines.console.account import current
from bulklabel.pipelines.run_command import run_command
from bulklabel.transforms.answers.answers import Answers
from bulklabel.transforms.answers.find_answers import find_answers
from bulklabel.transforms.answers.replace_truth import ReplaceTruth, load_unchanged
from bulklabel.transforms.answers.run_answers import PLAN
from bulklabel.transforms.concurrency.once_per_process import OncePerProcess
from bulklabel.transforms.files import files
from bulklabel.transforms.files.stores.retry import fail_fast
from bulklabel.transforms.scoring.model_files import load_model, save_model


def run(options: argparse.Namespace, pipeline_options: PipelineOptions) -> None:  # noqa: ARG001 (nothing runs on Beam)
    """Reads the answers, fits the calibration, tunes thresholds behind it, and writes the model directory.

    Raises:
        UserError: if the model, the run or the output cannot be used, or too little truth is known.
    """
    current().output = options.output
    with fail_fast():
        model = load_model(options.model)
        answers = find_answers(options.truth)
        if answers.about.get("model_digest") != model.digest:
            raise UserError(f"{options.truth} was not scored by {options.model} as it is now; score with that first.")
        truth, probabilities = _known_answers(answers)
    calibration = fit_calibration(truth, probabilities)
    if calibration.changes_nothing:
        raise UserError(
            f"{options.truth}: only {len(truth):,} records have truth, and no label is present in {ENOUGH} of them and "
            f"absent in as many, not even all together; score more records whose truth is known."
        )
    calibrated = calibration.apply(probabilities)
    files.check_writable(files.absolute(options.output))
    provenance = {**model.provenance, "calibrated": {"model": model.digest, "plan": answers.about.get(PLAN)}}
    changed = Model(
        model.labels,
        model.preprocessing,
        _with_calibration(model, options.model, calibration),
        tune_thresholds(truth, calibrated, ENOUGH),
        provenance,
        engine=model.engine,
    )
    save_model(add_golden(changed, options.output), options.output)
    before, after = (Reliability.of(truth, given).error for given in (probabilities, calibrated))
    print(f"calibrated on {len(truth):,} records: expected calibration error {before:.4f} → {after:.4f}")
    print(f"model directory: {options.output}")


def _with_calibration(model: Model, place: str, calibration: Calibration) -> bytes:
    """Returns a model's network with a calibration behind it, by the layers or the operators of its engine."""
    if model.engine == ONNX:
        engine_versions(ONNX)
        from bulklabel.model.network.onnx.calibrate_onnx import calibrate_onnx  # imports what is an extra

        limits = (float(LOWEST), float(HIGHEST))
        return calibrate_onnx(model.network, calibration.slopes.tolist(), calibration.offsets.tolist(), limits)
    import_tensorflow(wrappers=False)
    from bulklabel.model.network.keras_archive import load_network, network_bytes
    from bulklabel.model.training.rebuild import with_calibration

    return network_bytes(with_calibration(load_network(model.network, place, trusted=False), calibration))


def _known_answers(answers: Answers) -> tuple[Truth, npt.NDArray[np.float32]]:
    """Returns truth and probabilities, N×L each, of the records of which anything is known."""
    replacing = None if answers.truth is None else OncePerProcess(load_unchanged, answers.truth, answers.labels)
    truths, probabilities = [], []
    for shard in answers.reader.shards():
        for result in answers.reader.read(shard):
            judged = [result] if replacing is None else ReplaceTruth(replacing).process(result)
            for table in (each.predictions.table for each in judged):
                truth = truth_of(table, answers.labels)[0]
                known = (truth != UNKNOWN).any(axis=1)
                truths.append(truth[known])
                probabilities.append(probabilities_of(table, answers.labels)[known])
    if not truths:
        return np.zeros((0, len(answers.labels)), np.int8), np.zeros((0, len(answers.labels)), np.float32)
    return np.concatenate(truths), np.concatenate(probabilities)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `bulklabel calibrate`; returns the exit code."""
    return run_command("calibrate", sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
