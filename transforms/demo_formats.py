"""Writes records in every layout that can be read: for the demo, and to show what a layout looks like."""

import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bulklabel.transforms.files import files
from bulklabel.transforms.reading.streams.tf_example import Example
from bulklabel.transforms.reading.streams.tfrecord import framed

Row = Mapping[str, Any]
"""`id`, `image` (the bytes of an image file, or None), `labels` (a list, or None where truth is unknown)."""

ROW_GROUP_RECORDS = 1000


def write_layout(input_format: str, folder: str, rows: Sequence[Row], number: int, count: int) -> None:
    """Writes rows as the file `number` of `count` files in a folder; in an image folder, as a folder of that name."""
    LAYOUTS[input_format](files.join(folder, f"part-{number:05d}-of-{count:05d}"), rows)


def write_parquet(path: str, rows: Sequence[Row]) -> None:
    """Writes Parquet with the columns `id`, `image` and `labels`."""
    schema = pa.schema({"id": pa.string(), "image": pa.binary(), "labels": pa.list_(pa.string())})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), buffer, row_group_size=ROW_GROUP_RECORDS)
    files.write(f"{path}.parquet", buffer.getvalue())


def write_tfrecord(path: str, rows: Sequence[Row]) -> None:
    """Writes a TFRecord of `tf.Example`s."""
    content = []
    for row in rows:
        example = Example()
        feature = example.features.feature
        feature["image/source_id"].bytes_list.value.append(row["id"].encode())
        if row["image"] is not None:
            feature["image/encoded"].bytes_list.value.append(row["image"])
        if row["labels"] is not None:
            feature["image/class/text"].bytes_list.value.extend(label.encode() for label in row["labels"])
        content.append(framed(example.SerializeToString(deterministic=True)))
    files.write(f"{path}.tfrecord", b"".join(content))


def write_webdataset(path: str, rows: Sequence[Row]) -> None:
    """Writes a tar with `<id>.png` and `<id>.json` for each record."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for row in rows:
            description = {} if row["labels"] is None else {"labels": row["labels"]}
            members = {"png": row["image"], "json": json.dumps(description, ensure_ascii=False).encode()}
            for field, content in members.items():
                if content is not None:
                    info = tarfile.TarInfo(f"{row['id']}.{field}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
    files.write(f"{path}.tar", buffer.getvalue())


def write_images(path: str, rows: Sequence[Row]) -> None:
    """Writes a folder with `<id>.png` for each record, and `metadata.jsonl` beside them."""
    descriptions = []
    for row in rows:
        name = f"{row['id']}.png"
        descriptions.append({"file_name": name, "id": row["id"], "labels": row["labels"]})
        if row["image"] is not None:
            files.write(files.join(path, name), row["image"])
    lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in descriptions)
    files.write(files.join(path, "metadata.jsonl"), lines.encode())


def write_table(path: str, rows: Sequence[Row]) -> None:
    """Writes JSON lines that name the images, which are in a folder beside them that no listing shows."""
    folder, name = path.rsplit("/", 1)
    lines = []
    for row in rows:
        image = None if row["image"] is None else f"_images/{name}/{row['id']}.png"
        if image is not None:
            files.write(files.join(folder, image), row["image"])
        lines.append(json.dumps({"id": row["id"], "path": image, "labels": row["labels"]}, ensure_ascii=False) + "\n")
    files.write(f"{path}.jsonl", "".join(lines).encode())


LAYOUTS: dict[str, Callable[[str, Sequence[Row]], None]] = {
    "parquet": write_parquet,
    "tfrecord": write_tfrecord,
    "webdataset": write_webdataset,
    "images": write_images,
    "table": write_table,
}
