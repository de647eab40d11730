"""Object stores: real servers of S3's and Google's protocols on loopback, and a proxy that makes them fail."""

import contextlib
import itertools
import json
import os
import re
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulklabel.model.errors import SourceChangedError
from bulklabel.model.images.demo_collages import DIGITS
from bulklabel.transforms.demo_formats import LAYOUTS, write_layout
from bulklabel.transforms.files import files
from bulklabel.transforms.files.planned_files import open_planned, read_planned
from bulklabel.transforms.files.read_many import read_many
from bulklabel.transforms.files.stores import retry
from bulklabel.transforms.files.stores.store import PIECE_BYTES
from bulklabel.transforms.scoring.model_files import load_model
from tests.conftest import answers, collage_rows, read_all, untrained_model, write_parquet
from tests.durability.forked import forks
from tests.support import servers

SHARDS, RECORDS = 4, 100
"""Four files of 100 records, a shard each."""
LABELS = "".join(f"{digit}\n" for digit in range(10))

SHOWN = [f"{number % 7}/{number:04d}.png" for number in range(1200)] + ["0/[a].png"]
HIDDEN = ["_x/1.png", ".x/2.png", "0/.3.png", "0/4.txt"]
FOLDERS = [f"folders[1]/{number:04d}" for number in range(1001)]
OBJECTS = {f"many[1]/{name}": name.encode() for name in SHOWN + HIDDEN}
OBJECTS |= {f"{folder}/below/part": b"" for folder in FOLDERS}
"""More than a page of a listing holds; served from the start."""

PNG = re.compile(r"\.png$")


@dataclass(frozen=True)
class Store:
    """A served bucket, and the flags by which commands find it."""

    scheme: str
    port: int

    @property
    def root(self) -> str:
        return f"{self.scheme}://{servers.BUCKET}"

    @property
    def flags(self) -> tuple[str, ...]:
        """Beam's own for S3; Google's client goes by an environment variable, which `use` sets."""
        if self.scheme == "gs":
            return ()
        keys = f"--s3_access_key_id={servers.ACCESS_KEY}", f"--s3_secret_access_key={servers.SECRET_KEY}"
        return (f"--s3_endpoint_url=http://127.0.0.1:{self.port}", "--s3_region_name=us-east-1", *keys)

    def use(self, *flags: str) -> None:
        """Let `files` work with this store."""
        from bulklabel.pipelines.flags.score import parser
        from bulklabel.pipelines.runners.beam_options import beam_options

        os.environ["STORAGE_EMULATOR_HOST"] = f"http://127.0.0.1:{self.port}"
        beam_options([*self.flags, *flags], Namespace(), parser())

    def put_folder(self, folder: Path, name: str) -> str:
        """Copy a local folder's files; where to."""
        place = f"{self.root}/{name}"
        for path in folder.rglob("*"):
            if path.is_file():
                files.write(f"{place}/{path.relative_to(folder)}", path.read_bytes())
        return place

    def get_folder(self, place: str, folder: Path) -> Path:
        """Copy what is below a place into a local folder."""
        for file in files.list_folder(place):
            path = folder / file.path.removeprefix(f"{place}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files.read(file.path))
        return folder


@pytest.fixture(scope="module", params=["s3", "gs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store that serves one bucket."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("STORAGE_EMULATOR_HOST", "")  # restored, whatever a test sets it to
        environment.setattr(retry, "FIRST_PAUSE", 0.02)
        with servers.serving(request.param, tmp_path_factory.mktemp(request.param), OBJECTS) as port:
            yield Store(request.param, port)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of collages, three of them broken."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = collage_rows(SHARDS * RECORDS, seed=3)
    for row in rows[:: SHARDS * RECORDS // 3]:
        row["image"] = b"no image"
    for number in range(SHARDS):
        write_parquet(folder / f"{number}.parquet", rows[number * RECORDS : (number + 1) * RECORDS])
    return folder


@pytest.fixture(scope="module")
def local_run(tmp_path_factory: pytest.TempPathFactory, pictures: Path, onnx_model: Path) -> Path:
    """What the runs on stores are compared with."""
    run = tmp_path_factory.mktemp("local") / "run"
    assert score(str(pictures), str(onnx_model), str(run)) == 0
    return run


@pytest.fixture(scope="module")
def loaded(store: Store, pictures: Path, onnx_model: Path) -> tuple[str, str]:
    """The pictures and the model on the store, one of ONNX, which worker processes start soonest."""
    store.use()
    return store.put_folder(pictures, "pictures"), store.put_folder(onnx_model, "model")


@pytest.fixture(scope="module")
def remote_run(store: Store, loaded: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted run from the store to the store answers."""
    assert score(*loaded, f"{store.root}/whole", *store.flags) == 0
    return answers(store.get_folder(f"{store.root}/whole", tmp_path_factory.mktemp("remote")))


def train(pictures: str, output: str, labels: str, *flags: str) -> int:
    """`bulklabel train`, in this process."""
    from bulklabel.pipelines.train import main

    return main(
        [
            f"--input={pictures}",
            f"--output={output}",
            f"--label_file={labels}",
            "--network=textbook",
            "--epochs=1",
            *flags,
        ]
    )


def score(pictures: str, model: str, output: str, *flags: str) -> int:
    """`bulklabel score`, in this process."""
    from bulklabel.pipelines.score import main

    return main([f"--input={pictures}", f"--model={model}", f"--output={output}", *flags])


def score_apart(store: Store, pictures: str, model: str, output: str, *flags: str) -> None:
    """The same in a forked process, which leads a session of its own and prints nothing."""
    os.setsid()
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    store.use()
    score(pictures, model, output, *store.flags, *flags)


@contextlib.contextmanager
def failing(store: Store, fault: servers.Fault) -> Iterator[tuple[Store, servers.Proxy]]:
    """The same store through a proxy, and used by `files`."""
    with servers.proxied(store.port, fault) as proxy:
        behind = Store(store.scheme, proxy.port)
        behind.use()
        try:
            yield behind, proxy
        finally:
            store.use()


def is_write(request: str) -> bool:
    return request.startswith(("PUT", "POST /upload"))


def fails(capsys: pytest.CaptureFixture[str], exit_code: int, most_seconds: float, *arguments: str) -> str:
    """The one line with which `score` fails in time."""
    started = time.monotonic()
    assert score(*arguments) == exit_code
    assert time.monotonic() - started < most_seconds
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert error.startswith("bulklabel: error: ")
    return error


def test_a_run_on_a_store_answers_as_a_local_one(store: Store, remote_run: dict[str, bytes], local_run: Path) -> None:
    here, there = (by_shard(run) for run in (answers(local_run), remote_run))
    assert there.keys() == here.keys()
    assert there["metrics.json"] == here["metrics.json"]
    for name in here:
        if name.endswith(".parquet"):
            (mine, theirs) = (pq.read_table(pa.BufferReader(run[name])) for run in (there, here))
            assert mine.drop_columns(["source"]).equals(theirs.drop_columns(["source"]))
            assert set(mine.column("source").to_pylist()) <= {
                f"{store.root}/pictures/{i}.parquet" for i in range(SHARDS)
            }


def by_shard(run: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a run by names without the plan's digest: inputs elsewhere make another plan."""
    return {re.sub(r"-[0-9a-f]{8}\.parquet$", ".parquet", name): content for name, content in run.items()}


@pytest.fixture(scope="module")
def local_network(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> bytes:
    """What training without a store makes of the first two files of the pictures."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "labels").write_text(LABELS)
    assert train(f"{pictures}/[01].parquet", f"{folder}/model", f"{folder}/labels") == 0
    return (folder / "model" / "model.keras").read_bytes()


def test_training_from_a_store_to_a_store_makes_the_same_network(
    store: Store, loaded: tuple[str, str], local_network: bytes
) -> None:
    store.use()
    files.write(f"{store.root}/labels", LABELS.encode())
    assert train(f"{loaded[0]}/[01].parquet", f"{store.root}/trained", f"{store.root}/labels", *store.flags) == 0
    assert files.read(f"{store.root}/trained/model.keras") == local_network
    assert files.exists(f"{store.root}/trained/model.json")


def test_a_network_on_a_store_is_packaged_there(store: Store) -> None:
    from bulklabel.pipelines.package import main

    files.write(f"{store.root}/network.keras", untrained_model(DIGITS).network)
    files.write(f"{store.root}/labels", LABELS.encode())
    flags = [f"--keras_model={store.root}/network.keras", f"--label_file={store.root}/labels", "--input_range=0,255"]
    assert main([*flags, f"--output={store.root}/packaged", *store.flags]) == 0
    assert load_model(f"{store.root}/packaged").labels == DIGITS


@pytest.mark.parametrize("input_format", list(LAYOUTS))
def test_every_format_is_read_from_a_store_as_from_a_folder(store: Store, input_format: str, tmp_path: Path) -> None:
    store.use()
    rows = collage_rows(40)
    rows[7]["image"] = None
    for root in (store.root, str(tmp_path)):
        write_layout(input_format, f"{root}/laid_out/{input_format}", rows, 0, 1)
    here, there = (read_all(f"{root}/laid_out/{input_format}", labels=None) for root in (str(tmp_path), store.root))
    assert there[1] == here[1]
    assert [row | {"source": row["source"].removeprefix(store.root)} for row in there[0]] == [
        row | {"source": row["source"].removeprefix(str(tmp_path))} for row in here[0]
    ]
    assert len(there[0]) >= 39


def test_a_finished_run_on_a_store_has_nothing_to_do_and_can_be_judged_again(
    store: Store, loaded: tuple[str, str], remote_run: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    from bulklabel.pipelines.evaluate import main

    assert score(*loaded, f"{store.root}/whole", *store.flags) == 0
    assert "nothing to do" in capsys.readouterr().out
    truth = f"--truth={loaded[0]}"
    assert main([f"--input={store.root}/whole", f"--output={store.root}/judged", truth, *store.flags]) == 0
    assert files.read(f"{store.root}/judged/metrics.json") == remote_run["metrics.json"]


def test_a_night_on_a_store_takes_over_what_has_not_changed(
    store: Store, model_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a network of Keras."""
    store.use()
    rows = collage_rows(40, seed=7)
    files.write(f"{store.root}/nights/0.parquet", write_parquet(tmp_path / "0.parquet", rows[:30]).read_bytes())
    given = f"{store.root}/nights", store.put_folder(model_directory, "keras")
    assert score(*given, f"{store.root}/night-1", *store.flags) == 0
    files.write(f"{store.root}/nights/1.parquet", write_parquet(tmp_path / "1.parquet", rows[30:]).read_bytes())
    since = f"--since={store.root}/night-1"
    capsys.readouterr()
    assert score(*given, f"{store.root}/night-2", since, "--carry_over", *store.flags) == 0
    said = f"30 records were scored and 0 rejected before in {store.root}/night-1; 10 are new."
    assert said in capsys.readouterr().out
    assert score(*given, f"{store.root}/night-3", *store.flags) == 0
    assert files.read(f"{store.root}/night-2/metrics.json") == files.read(f"{store.root}/night-3/metrics.json")


def test_a_run_on_a_store_is_verified_there(
    store: Store, remote_run: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bulklabel.pipelines.verify import main

    assert remote_run
    run = store.put_folder(store.get_folder(f"{store.root}/whole", tmp_path), "verified")
    assert main([run, "--sample=9", *store.flags]) == 0
    assert "9 records scored again: no probability differs by more than 0" in capsys.readouterr().out
    part, other = (
        next(file.path for file in files.list_folder(f"{run}/predictions") if name in file.path)
        for name in ("part-00002", "part-00003")
    )
    files.write(part, files.read(other))
    files.write(f"{run}/rejected/notes.txt", b"")
    assert main([run, *store.flags]) == 1
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.startswith(part.removeprefix(f"{run}/"))
    assert second.startswith("rejected/notes.txt does not belong to this run")


def test_predictions_on_a_store_are_evaluated_there(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    from bulklabel.pipelines.evaluate import main
    from bulklabel.pipelines.verify import main as verify

    store.use()
    table = "id,labels,prob_cat\n" + "".join(f"r{row},{'cat' if row % 3 else '|'},0.{row}\n" for row in range(10, 99))
    output = f"{store.root}/predicted"
    files.write(f"{store.root}/tables/a.csv", table.encode())
    assert main([f"--predictions={store.root}/tables", f"--output={output}", *store.flags]) == 0
    assert json.loads(files.read(f"{output}/metrics.json"))["counts"]["with_truth"] == 89
    assert verify([output, *store.flags]) == 0
    files.write(f"{store.root}/tables/a.csv", table.replace("0.10", "0.11").encode())
    capsys.readouterr()
    assert verify([output, *store.flags]) == 1
    assert f"have changed: {store.root}/tables/a.csv" in capsys.readouterr().out


def test_the_latest_run_on_a_store_is_the_baseline(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    from bulklabel.pipelines.evaluate import main

    faults = {"/denied": "forbidden", "%2Fdenied": "forbidden"}
    nights = f"{store.root}/nights[1]"
    store.use()
    files.write(f"{store.root}/tables/b.csv", b"id,labels,prob_cat\na,cat,0.9\nb,|,0.2\n")
    for name in ("denied", "away"):
        files.write(f"{nights}/{name}/manifest.json", b"{}")
    with failing(store, lambda request: next((faults[word] for word in faults if word in request), None)) as used:
        behind, proxy = used
        flags = [f"--predictions={store.root}/tables/b.csv", "--baseline=latest", *behind.flags]
        for name in ("z", "b", "a"):
            assert main([*flags, f"--output={nights}/{name}"]) == 0
        metrics = json.loads(files.read(f"{nights}/a/metrics.json"))
        assert metrics["baseline"]["run"] == f"{nights}/b"
        assert metrics["baseline"]["passed_over"] == {f"{nights}/denied": "it may not be read"}

        # What is away for a while might be the latest: nobody is told that there is none.
        faults |= {"/away": "unavailable", "%2Faway": "unavailable"}
        capsys.readouterr()
        assert main([*flags, f"--output={nights}/last", "--store_retries=1"]) == 2
        assert "away/manifest.json cannot be read" in capsys.readouterr().err

        behind.use()
        proxy.requests.clear()
        assert files.list_folders(f"{store.root}/folders[1]") == [f"{store.root}/{folder}" for folder in FOLDERS]
        assert len(proxy.requests) <= 2  # a page has a thousand; what is deeper is not listed
        assert files.list_folders(f"{store.root}/nothing") == []


def test_success_is_written_last_and_goes_first(store: Store, loaded: tuple[str, str]) -> None:
    with failing(store, lambda _: None) as (behind, proxy):
        assert score(*loaded, f"{store.root}/ordered", *behind.flags) == 0
        writes = [request for request in proxy.requests if is_write(request)]
        assert "_SUCCESS" in writes[-1]
        assert sum("predictions/part-" in request for request in writes) == SHARDS
        written = files.list_folder(f"{store.root}/ordered")
        proxy.requests.clear()
        assert score(*loaded, f"{store.root}/ordered", "--threshold=0.3", "--overwrite", *behind.flags) == 0
        deleted = [request for request in proxy.requests if request.startswith("DELETE") and "can-write" not in request]
        assert "_SUCCESS" in deleted[0]
        assert any("baseline.json" in request for request in deleted)  # which is there only if it was asked for
        assert len(set(deleted)) == len(written) + 1 > 2 * SHARDS


def test_listing_is_paged_and_hides_what_is_hidden(store: Store) -> None:
    store.use()
    folder = f"{store.root}/many[1]"

    def names_below(path: str) -> list[str]:
        return [file.path.removeprefix(f"{folder}/") for file in files.list_files(path, PNG).files]

    assert names_below(f"{folder}/") == sorted(SHOWN)
    assert names_below(f"{store.root}/many?1]/*/000?.png") == sorted(SHOWN[:10])
    assert names_below(f"{folder}/0/[a].png") == ["0/[a].png"]
    assert [file.size for file in files.list_files(f"{folder}/0/0000.png", PNG).files] == [10]
    assert {file.path for file in files.list_folder(folder)} == {f"{folder}/{name}" for name in SHOWN + HIDDEN}
    assert files.list_folder(f"{store.root}/man") == []


def test_an_object_that_was_replaced_since_it_was_listed_is_not_read(store: Store) -> None:
    """Though the new one has the same size."""
    store.use()
    path = f"{store.root}/replaced"
    files.write(path, b"old")
    [file] = files.list_file(path)
    assert file.version
    assert read_planned(file) == b"old"
    assert list(read_many([[file]])) == [b"old"]
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_planned(path, file))
        files.write(path, b"new")
        with pytest.raises(SourceChangedError, match="replaced was changed"):
            opened.read()
        stack.pop_all()
    with pytest.raises(SourceChangedError), open_planned(path, file):
        pass
    [content] = read_many([[file]])
    assert isinstance(content, SourceChangedError)
    assert list(read_many([[path]])) == [b"new"]
    files.delete([path])
    [content] = read_many([[file]])
    assert isinstance(content, SourceChangedError)


def test_a_planned_file_is_looked_at_before_and_after(store: Store) -> None:
    store.use()
    path = f"{store.root}/looked-at"
    files.write(path, b"once")
    [file] = files.list_file(path)
    with failing(store, lambda _: None) as (_, proxy):
        assert read_planned(file) == b"once"
    assert sum("looked-at" in request for request in proxy.requests) == 3  # what it is, its bytes, whether it still is


def test_many_files_are_read_in_order_and_deleted(store: Store) -> None:
    store.use()
    names = [f"some/{number}" for number in range(100)]
    for name in names:
        files.write(f"{store.root}/{name}", name.encode())
    contents = list(read_many([f"{store.root}/{name}"] for name in [*names[:50], "none", *names[50:]]))
    assert isinstance(contents.pop(50), FileNotFoundError)
    assert contents == [name.encode() for name in names]
    files.delete([f"{store.root}/{name}" for name in ["none", *names[1:]]])
    assert [file.path for file in files.list_folder(f"{store.root}/some")] == [f"{store.root}/some/0"]


def test_a_file_survives_whatever_happens_to_its_requests(store: Store) -> None:
    started = time.monotonic()
    content = os.urandom(9 * 2**20)
    faults = itertools.cycle(["drop", None, None, "unavailable", None, "trickle", None, None, "stall", None])
    with failing(store, lambda _: next(faults)) as (behind, proxy):
        behind.use("--store_timeout=0.5")
        path = f"{store.root}/survives"
        files.write(path, content)
        assert files.exists(path)
        assert files.read(path) == content
        with files.open_file(path) as file:
            assert file.read(100) == content[:100]
            assert file.seek(-1000, os.SEEK_END) == len(content) - 1000
            assert file.read() == content[-1000:]
            file.seek(2**20)
            assert file.read(7 * 2**20) == content[2**20 : 8 * 2**20]
            assert file.tell() == 8 * 2**20
        assert [file.size for file in files.list_files(path, PNG).files] == [len(content)]
        files.delete([path])
        assert not files.exists(path)
        assert len(proxy.requests) > 15
    assert time.monotonic() - started < 60  # an answer that trickles takes longer


def test_a_file_of_whole_pieces_and_an_empty_one_are_read(store: Store) -> None:
    store.use()
    for content in (os.urandom(PIECE_BYTES), b""):
        files.write(f"{store.root}/whole-pieces", content)
        assert files.read(f"{store.root}/whole-pieces") == content
        with files.open_file(f"{store.root}/whole-pieces") as file:
            assert file.read() == content


def test_reading_on_fetches_more_and_more_and_a_jump_little(store: Store) -> None:
    store.use()
    path = f"{store.root}/ahead"
    files.write(path, bytes(30 * 2**20))
    with failing(store, lambda _: None) as (_, proxy), files.open_file(path) as file:
        while file.read(10_000):
            pass
        assert sum("ahead" in request for request in proxy.requests) == 1 + 6  # its size; 1 + 2 + 4 + 8 + 8 + 7 MiB
        file.seek(5 * 2**20)
        file.read(10)
        assert sum("ahead" in request for request in proxy.requests) == 1 + 6 + 1
        file.read(2**20)
        assert sum("ahead" in request for request in proxy.requests) == 1 + 6 + 2


def test_a_run_on_a_failing_store_is_right(
    store: Store, loaded: tuple[str, str], remote_run: dict[str, bytes], tmp_path: Path
) -> None:
    bad = itertools.cycle(["drop", "unavailable", "trickle", "stall"])
    times = itertools.count(1)
    done = []

    def fault(_: str) -> str | None:
        if next(times) % 5:
            return None
        done.append(next(bad))
        return done[-1]

    with failing(store, fault) as (behind, _):
        assert score(*loaded, f"{store.root}/survived", *behind.flags, "--store_timeout=0.3") == 0
    assert len(done) >= 8
    mine = answers(store.get_folder(f"{store.root}/survived", tmp_path))
    assert mine == remote_run


def test_a_writer_killed_in_mid_put_leaves_nothing_and_the_run_goes_on(
    store: Store, loaded: tuple[str, str], remote_run: dict[str, bytes], tmp_path: Path
) -> None:
    run, name = f"{store.root}/killed", "predictions/part-00002"
    pictures, model = loaded
    processes = ("--direct_running_mode=multi_processing", "--direct_num_workers=2") if store.scheme == "s3" else ()
    with failing(store, lambda request: "hold" if is_write(request) and name in request else None) as (behind, proxy):
        first = forks().Process(target=score_apart, args=(behind, pictures, model, run, *processes))
        first.start()
        assert proxy.held.wait(120), "nothing was written"
        os.killpg(first.pid, signal.SIGKILL)
        first.join()
    kept = {file.path.removeprefix(f"{run}/") for file in files.list_folder(run)}
    assert "plan.json" in kept
    assert not any(name in path or "_SUCCESS" in path for path in kept)
    with failing(store, lambda _: None) as (behind, proxy):
        assert score(pictures, model, run, *behind.flags) == 0
        again = [path for path in kept if any(is_write(request) and path in request for request in proxy.requests)]
    assert len([path for path in again if "part-" in path]) <= 2  # of a shard with one part, at most once a worker
    assert answers(store.get_folder(run, tmp_path)) == remote_run


@pytest.mark.parametrize(("where", "exit_code"), [("/pictures", 2), ("/part-", 1)], ids=["planning", "in mid-run"])
def test_a_store_that_stalls_for_ever_ends_the_command(
    store: Store, loaded: tuple[str, str], capsys: pytest.CaptureFixture[str], where: str, exit_code: int
) -> None:
    marks = (where, where.replace("/", "%2F"))
    with failing(store, lambda request: "stall" if any(mark in request for mark in marks) else None) as (behind, _):
        limits = ("--store_timeout=0.75", "--store_retries=1")
        error = fails(capsys, exit_code, 20, *loaded, f"{store.root}/stalled", *behind.flags, *limits)
    assert "not done after 0.75 seconds" in error
    assert where in error


def test_what_no_retry_mends_is_said_at_once(
    store: Store, loaded: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, model = loaded
    output = f"{store.root}/refused"
    assert "no file matches" in fails(capsys, 2, 5, f"{pictures}/none", model, output, *store.flags)
    nowhere = f"{store.scheme}://no-such-bucket/run"
    assert "cannot be listed" in fails(capsys, 2, 5, nowhere, model, output, *store.flags)
    assert "model.json" in fails(capsys, 2, 5, pictures, nowhere, output, *store.flags)
    assert nowhere in fails(capsys, 2, 5, pictures, model, nowhere, *store.flags)
    with failing(store, lambda request: "forbidden" if is_write(request) else None) as (behind, proxy):
        assert "cannot be written" in fails(capsys, 2, 5, pictures, model, output, *behind.flags)
        assert sum(map(is_write, proxy.requests)) == 1
    with failing(store, lambda _: "forbidden") as (behind, proxy):
        assert "cannot be read" in fails(capsys, 2, 5, pictures, model, output, *behind.flags)
        assert sum("model.json" in request for request in proxy.requests) == 1
    with failing(store, lambda request: "forbidden" if "/part-" in request else None) as (behind, proxy):
        assert "run the same command again" in fails(capsys, 1, 10, pictures, model, output, *behind.flags)
    assert not files.exists(f"{output}/_SUCCESS")


def test_a_store_that_cannot_be_reached_is_said_soon(
    store: Store, loaded: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = Store(store.scheme, servers.free_port())
    nobody.use()
    error = fails(capsys, 2, 10, *loaded, f"{store.root}/unreached", *nobody.flags)
    store.use()
    assert str(nobody.port) in error


def test_missing_or_wrong_credentials_are_one_line(
    store: Store,
    loaded: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "STORAGE_"))]:
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert "redentials" in fails(capsys, 2, 5, *loaded, f"{store.root}/run", *store.flags[:2])
    if store.scheme == "s3":
        wrong = "--s3_secret_access_key=wrong"
        assert "cannot be read" in fails(capsys, 2, 5, *loaded, f"{store.root}/run", *store.flags[:3], wrong)


def test_a_missing_extra_is_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package, module, extra = {
        "s3": ("boto3", "bulklabel.transforms.files.stores.s3", "aws"),
        "gs": ("google.auth", "bulklabel.transforms.files.stores.gcs", "gcp"),
    }[store.scheme]
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module)
    error = fails(capsys, 2, 5, "here", f"{store.root}/model", "there", *store.flags)
    assert f"pip install 'bulklabel[{extra}]'" in error
