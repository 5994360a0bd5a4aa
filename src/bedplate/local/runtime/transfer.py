"""Downloads objects of the local platform's S3 into folders and uploads files, as SageMaker does for its jobs."""

from __future__ import annotations

import gzip
import json
import mimetypes
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bedplate.local.hooks import Services


class DataSourceError(Exception):
    """An S3 data source cannot be read, for example because it has no objects."""


def split_uri(uri: str) -> tuple[str, str]:
    """Returns bucket and key of an S3 URI. Raises DataSourceError for any other text.

    >>> split_uri("s3://bucket/a/b.csv")
    ('bucket', 'a/b.csv')
    """
    scheme, _, path = uri.partition("://")
    if scheme != "s3" or not path:
        raise DataSourceError(f'Expected an S3 URI such as s3://bucket/key, found "{uri}"')
    bucket, _, key = path.partition("/")
    return bucket, key


def download(services: Services, uri: str, folder: Path, *, data_type: str = "S3Prefix", gunzip: bool = False) -> int:
    """Copies the objects of an S3 data source into `folder` and returns their number.

    `data_type` is SageMaker's S3DataType. Raises DataSourceError without objects, with SageMaker's message.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for bucket, key, name in _list_sources(services, uri, data_type):
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise DataSourceError(f'object "{key}" of {uri} would be written outside its folder {folder}')
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(services.object_path(bucket, key), target, gunzip and name.endswith(".gz"))
        count += 1
    if not count:
        raise DataSourceError(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({services.region}) and that objects exist under that S3 prefix."
        )
    return count


def upload(services: Services, folder: Path, uri: str) -> int:
    """Uploads every file in `folder` below the S3 URI and returns the number of files."""
    bucket, prefix = split_uri(uri)
    count = 0
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        key = "/".join(filter(None, (prefix.rstrip("/"), path.relative_to(folder).as_posix())))
        services.put_object(bucket, key, path, content_type(path))
        count += 1
    return count


def content_type(path: Path) -> str:
    """Returns the content type by a file's extension; S3's default for an unknown one.

    >>> content_type(Path("a.json")), content_type(Path("a.unknown"))
    ('application/json', 'binary/octet-stream')
    """
    return mimetypes.guess_type(path.name)[0] or "binary/octet-stream"


def relative_name(prefix: str, key: str) -> str:
    """Returns an object's path relative to the folder that the objects with the prefix are copied into.

    A prefix need not end at a slash: `data/tr` includes `data/train/a.csv`, whose path then starts with `train`.

    >>> relative_name("data/train/", "data/train/a/b.csv"), relative_name("data/train", "data/train/a.csv")
    ('a/b.csv', 'a.csv')
    >>> relative_name("data/b.csv", "data/b.csv"), relative_name("data/tr", "data/train/a.csv")
    ('b.csv', 'train/a.csv')
    """
    if key == prefix:
        return PurePosixPath(key).name
    if prefix.endswith("/") or key[len(prefix) : len(prefix) + 1] == "/":
        return key[len(prefix) :].lstrip("/")
    folder = prefix.rpartition("/")[0]
    return key[len(folder) :].lstrip("/")


def _list_sources(services: Services, uri: str, data_type: str) -> Iterator[tuple[str, str, str]]:
    """Yields bucket, key and relative path of each object; a manifest is a JSON list of a prefix and relative keys."""
    bucket, prefix = split_uri(uri)
    try:
        if data_type == "ManifestFile":
            header, *names = json.loads(services.get_object(bucket, prefix))
            bucket, prefix = split_uri(header["prefix"])
            yield from ((bucket, prefix + name, name) for name in names)
            return
        keys = services.list_objects(bucket, prefix)
    except KeyError as exc:
        raise DataSourceError(f"{uri}: {exc.args[0]}") from exc
    if data_type == "S3Object":
        keys = [k for k in keys if k == prefix]
    yield from ((bucket, key, relative_name(prefix, key)) for key in keys if not key.endswith("/"))


def _copy_file(source: Path, target: Path, gunzip: bool) -> None:
    if not gunzip:
        shutil.copyfile(source, target)
        return
    with gzip.open(source, "rb") as packed, target.with_suffix("").open("wb") as plain:
        shutil.copyfileobj(packed, plain)
