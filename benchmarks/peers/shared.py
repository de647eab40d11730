"""What every peer's script does alike: its command line, Pillow's decoding, and scikit-learn's metrics."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.dataset as ds
from PIL import Image
from sklearn import metrics

BATCH = 256
THRESHOLD = 0.6
"""Away from a half, near which all probabilities of a network are that was not trained."""


def arguments() -> tuple[str, str, str]:
    """Returns the absolute paths of the input, of the model directory and of the output."""
    source, model, output = (str(Path(path).resolve()) for path in sys.argv[1:4])
    return source, model, output


def labels_of(model: str) -> list[str]:
    """Returns the labels in the network's order."""
    labels: list[str] = json.loads(Path(model, "model.json").read_text())["labels"]
    return labels


def decode(image: bytes) -> npt.NDArray[np.float32]:
    """Returns the pixels of an encoded image at the network's size."""
    decoded = Image.open(io.BytesIO(image)).convert("RGB")
    return np.asarray(decoded.resize((32, 32), Image.Resampling.BILINEAR), np.float32)


def schema_of(labels: list[str]) -> pa.Schema:
    """Returns the columns of the predictions: the truth, and a probability a label."""
    return pa.schema([("labels", pa.list_(pa.string())), *((label, pa.float32()) for label in labels)])


def evaluate(output: str, labels: list[str]) -> None:
    """Writes the metrics of the predictions in a folder beside them."""
    table = ds.dataset(output, format="parquet").to_table()
    probabilities = np.stack([table[label].to_numpy() for label in labels], axis=1)
    names = table["labels"].to_pylist()
    truth = np.array([[label in each for label in labels] for each in names])
    decided = probabilities > THRESHOLD
    found = {
        "per label": metrics.classification_report(truth, decided, target_names=labels, output_dict=True),
        "confusion": metrics.multilabel_confusion_matrix(truth, decided).tolist(),
        "Hamming loss": metrics.hamming_loss(truth, decided),
        "exact matches": metrics.accuracy_score(truth, decided),
        "areas under ROC": metrics.roc_auc_score(truth, probabilities, average=None).tolist(),
        "average precisions": metrics.average_precision_score(truth, probabilities, average=None).tolist(),
    }
    Path(output).with_suffix(".json").write_text(json.dumps(found))
