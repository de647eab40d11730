"""Which files a table may name: places are compared, however they are written and wherever links lead."""

from pathlib import Path

import pytest

from bulklabel.model.errors import RecordError, UserError
from bulklabel.transforms.files.image_roots import ImageRoots, root_of

ROOTS = ImageRoots("/tables/x", ("/data/birds", "s3://b/birds"))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/data/birds/1.png", "/data/birds/1.png"),
        ("/tables/x/1.png", "/tables/x/1.png"),
        ("//data//./birds/x/..//1.png", "/data/birds/1.png"),
        ("../../data/birds/1.png", "/data/birds/1.png"),
        ("file:///data/birds/a%20b.png", "/data/birds/a b.png"),
        ("file:/data/birds/1.png", "/data/birds/1.png"),
        ("FILE://localhost/data/birds/1.png", "/data/birds/1.png"),
        ("s3://b/birds/x/../1.png", "s3://b/birds/1.png"),
        ("s3://b/birds/a//1.png", "s3://b/birds/a//1.png"),  # another object than a/1.png
        ("s3a://b/birds/1.png", "s3://b/birds/1.png"),
        ("S3N://b/birds/1.png", "s3://b/birds/1.png"),
    ],
)
def test_a_place_below_a_root_is_read_however_it_is_written(name: str, path: str) -> None:
    assert ROOTS.paths_of(name) == [path]


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "/data/birds/../cats/1.png", "/data/birds", "/data/birds2/1.png", "../1.png", "x/../../1.png"),
        *("file:///data/birds/%2e%2e/1.png", "file:///data/birds/..%2f1.png", "file://host/data/birds/1.png"),
        *("s3://b/1.png", "s3://b/birds/../1.png", "s3://b//birds/1.png", "s3://b/birds2/1.png", "s3://c/birds/1.png"),
        *("gs://b/birds/1.png", "s3://b/birds", "http://b/birds/1.png", "https://example.com/1.png"),
        *(r"C:\img\1.png", "C:/img/1.png", r"\\server\img\1.png", "", " ", "a\0b.png", "\ud800.png"),
    ],
)
def test_all_else_is_refused_with_the_flag_that_helps(name: str) -> None:
    with pytest.raises(RecordError, match="--image_root") as raised:
        ROOTS.paths_of(name)
    assert raised.value.reason == "unsafe_path"


def test_a_relative_path_is_looked_for_in_the_tables_folder_then_in_each_root() -> None:
    assert ROOTS.paths_of("a/1.png") == ["/tables/x/a/1.png", "/data/birds/a/1.png", "s3://b/birds/a/1.png"]
    assert ImageRoots("/t", ()).paths_of("a%20b.png") == ["/t/a%20b.png", "/t/a b.png"]
    assert ImageRoots("/t", ()).paths_of(r"a\b.png") == [r"/t/a\b.png", "/t/a/b.png"]
    assert ImageRoots("/t", ()).paths_of("%2e%2e/1.png") == ["/t/%2e%2e/1.png"]


def test_links_that_lead_out_of_a_root_are_refused_and_others_are_followed(tmp_path: Path) -> None:
    for folder in ("birds/deep", "secret", "tables"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "birds" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "birds" / "out.png").symlink_to(tmp_path / "secret" / "1.png")
    (tmp_path / "birds" / "in").symlink_to(tmp_path / "birds" / "deep")
    (tmp_path / "linked").symlink_to(tmp_path / "birds")
    root = str(tmp_path / "linked")
    image_roots = ImageRoots(str(tmp_path / "tables"), (root,))
    assert image_roots.paths_of(f"{root}/in/1.png") == [f"{root}/in/1.png"]
    assert image_roots.paths_of(f"{tmp_path}/birds/1.png") == [f"{tmp_path}/birds/1.png"]
    for name in ("out/1.png", "out.png", "in/../../secret/1.png"):
        with pytest.raises(RecordError, match="--image_root"):
            image_roots.paths_of(f"{root}/{name}")
    with pytest.raises(RecordError, match=f"is a link to {tmp_path}/secret/1.png"):
        image_roots.paths_of(f"{root}/out.png")


def test_the_folders_that_would_do_are_one_a_store() -> None:
    names = ["/data/a/1.png", "/data/b/1.png", "s3a://x/c/1.png", "s3://x/c/d/1.png", "s3://y/1.png", "http://z/1.png"]
    assert ImageRoots("/t", ()).folders_of(names) == ["/data", "s3://x/c", "s3://y"]


def test_a_root_is_a_folder_that_is_there(tmp_path: Path) -> None:
    assert root_of(f"{tmp_path}/") == str(tmp_path)
    assert root_of("gcs://x/y/") == "gs://x/y"
    for path, words in (("/nowhere", "no such folder"), ("https://x/y", "nothing is read from the web")):
        with pytest.raises(UserError, match=words):
            root_of(path)
