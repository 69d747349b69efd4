"""Files of an S3 server (moto), read and written by commands and in Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from saiseld.formats.annotation import read_annotations
from saiseld.pipeline.sample import sample
from saiseld.runtime.errors import DataError, InputError
from saiseld.runtime.object_storage import fetched, sent, url_of


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    moto = pytest.importorskip("moto.server")
    running = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    s3fs = pytest.importorskip("s3fs")
    for name, value in (
        ("AWS_ENDPOINT_URL", server),
        ("AWS_ACCESS_KEY_ID", "nobody"),
        ("AWS_SECRET_ACCESS_KEY", "nothing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("XDG_CACHE_HOME", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    store = s3fs.S3FileSystem()
    store.mkdir("corpus")
    yield store
    store.rm("corpus", recursive=True)


def test_addresses_survive_as_paths() -> None:
    assert url_of(Path("s3://bucket/rooms/")) == url_of("s3://bucket/rooms") == "s3://bucket/rooms"
    assert url_of("rooms/s3") is url_of("tcp://127.0.0.1:5000") is None


def test_only_what_changed_is_fetched_again(bucket) -> None:
    bucket.pipe({"corpus/in/a.txt": b"one", "corpus/in/deep/b.txt": b"two"})
    folder = fetched("s3://corpus/in")
    unchanged = (folder / "a.txt").stat()
    bucket.pipe("corpus/in/deep/b.txt", b"new")
    assert fetched("s3://corpus/in") == folder
    assert (folder / "deep/b.txt").read_bytes() == b"new"
    assert (folder / "a.txt").stat().st_mtime_ns == unchanged.st_mtime_ns
    bucket.rm("corpus/in/a.txt")
    fetched("s3://corpus/in")
    assert not (folder / "a.txt").exists()
    assert fetched("s3://corpus/in/deep/b.txt").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["in/../../../../x", "in/.hidden"])
def test_an_object_named_out_of_the_folder_is_refused(bucket, name) -> None:
    bucket.pipe(f"corpus/{name}", b"")
    with pytest.raises(DataError) as refused:
        fetched("s3://corpus/in")
    assert refused.value.expected == "objects named as files can be"


def test_what_is_not_there_is_refused(bucket) -> None:
    with pytest.raises(InputError) as refused:
        fetched("s3://corpus/nothing")
    assert refused.value.found == "nothing"


def test_another_machine_goes_on(bucket, monkeypatch, tmp_path) -> None:
    with pytest.raises(KeyboardInterrupt), sent("s3://corpus/out") as folder:
        folder.mkdir()
        (folder / "done.json").write_text("1")
        raise KeyboardInterrupt
    assert bucket.cat("corpus/out/done.json") == b"1"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with sent("s3://corpus/out") as folder:
        assert (folder / "done.json").read_text() == "1"
        (folder / "more.json").write_text("2")
    assert bucket.cat("corpus/out/more.json") == b"2"
    assert bucket.cat("corpus/out/done.json") == b"1"


def test_what_a_killed_run_did_not_send_is_sent_by_the_next(bucket) -> None:
    with sent("s3://corpus/out") as folder:
        folder.mkdir()
        (folder / "old.json").write_text("1")
    (folder / "old.json").write_text("23")
    (folder / "new.json").write_text("4")
    with sent("s3://corpus/out"):
        pass
    assert (bucket.cat("corpus/out/old.json"), bucket.cat("corpus/out/new.json")) == (b"23", b"4")


def test_a_command_reads_and_writes_a_bucket(bucket, saiseld) -> None:
    scene = sample()
    bucket.put_file(str(scene.truth), "corpus/labels/room_std.json")
    masks = json.loads(scene.truth.read_text())
    for mask in masks["annotations"]:
        mask["score"] = 0.5
    bucket.pipe("corpus/predictions/room.json", json.dumps(masks).encode())
    line = ("evaluate", "s3://corpus/predictions", "s3://corpus/labels")
    code, said = saiseld(*line, "--json", "s3://corpus/scores.json")
    assert code == 0, said
    assert json.loads(bucket.cat("corpus/scores.json"))["macro_pearson_r"] > 0.99
    assert len(read_annotations(fetched("s3://corpus/labels/room_std.json")))


def test_an_address_on_a_cluster_is_refused(bucket, saiseld) -> None:
    code, said = saiseld("image", "s3://corpus/in", "-o", "out", "--cluster", "10.0.0.1:6379")
    assert code == 2
    assert "Mount the store" in said
