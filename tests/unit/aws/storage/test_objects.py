"""Objects are written, read, listed and downloaded through the S3 adapter."""

from __future__ import annotations

from datetime import UTC, timedelta
from pathlib import Path

import pytest

from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects, split_uri
from bedplate.errors import NotFound, UsageError


@pytest.fixture
def objects(session: Session) -> S3Objects:
    session.client("s3").create_bucket(Bucket="bkt")
    return S3Objects(session)


def test_get_returns_what_put_wrote(objects: S3Objects) -> None:
    objects.put("s3://bkt/dir/x", b"hello")
    assert objects.get("s3://bkt/dir/x") == b"hello"
    assert objects.exists("s3://bkt/dir/x")


def test_a_missing_key_is_not_found(objects: S3Objects) -> None:
    assert not objects.exists("s3://bkt/x")
    with pytest.raises(NotFound, match="s3://bkt/x"):
        objects.get("s3://bkt/x")
    with pytest.raises(NotFound):
        objects.get("s3://no-such-bucket/x")


def test_a_conditional_put_never_overwrites(objects: S3Objects) -> None:
    assert objects.put_if_absent("s3://bkt/x", b"first")
    assert not objects.put_if_absent("s3://bkt/x", b"second")
    assert objects.get("s3://bkt/x") == b"first"


def test_list_is_in_order_starts_after_a_key_and_spans_pages(objects: S3Objects) -> None:
    for number in range(1005):
        objects.put(f"s3://bkt/l/{number:04d}", b"x")
    objects.put("s3://bkt/other", b"x")
    uris = [info.uri for info in objects.list("s3://bkt/l/")]
    assert uris == [f"s3://bkt/l/{number:04d}" for number in range(1005)]
    (last,) = objects.list("s3://bkt/l/", start_after="s3://bkt/l/1003")
    assert (last.uri, last.size, last.modified_at.utcoffset()) == ("s3://bkt/l/1004", 1, timedelta(0))
    assert last.modified_at.tzinfo is UTC


def test_a_download_is_complete_or_leaves_no_file(objects: S3Objects, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(b"x" * 1000)
    steps: list[int] = []
    objects.upload(tmp_path / "up", "s3://bkt/f", progress=steps.append)
    assert sum(steps) == 1000
    objects.download("s3://bkt/f", tmp_path / "new" / "down")
    assert (tmp_path / "new" / "down").read_bytes() == b"x" * 1000
    with pytest.raises(NotFound):
        objects.download("s3://bkt/none", tmp_path / "new" / "none")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["down"]


@pytest.mark.parametrize("uri", ["/tmp/x", "https://b/x", "s3://", "s3://bkt", "s3://bkt/"])
def test_a_uri_that_is_not_an_objects_is_rejected(uri: str) -> None:
    with pytest.raises(UsageError, match="s3://bucket/key"):
        split_uri(uri)


def test_keys_may_contain_question_marks_and_hashes() -> None:
    assert split_uri("s3://bkt/a?b#c") == ("bkt", "a?b#c")
