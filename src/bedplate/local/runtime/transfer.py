"""Downloads objects of the platform's S3 into folders and uploads files, as SageMaker's S3 data sources do."""

from __future__ import annotations

import gzip
import json
import mimetypes
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bedplate.local.hooks import Services


class DataSourceError(Exception):
    """A request names an S3 URI without objects; the message is SageMaker's."""


def split_uri(uri: str) -> tuple[str, str]:
    """Returns bucket and key of an S3 URI. Raises MissingData for any other text.

    >>> split_uri("s3://bucket/a/b.csv")
    ('bucket', 'a/b.csv')
    """
    scheme, _, path = uri.partition("://")
    if scheme != "s3" or not path:
        raise DataSourceError(f'"{uri}" is not an S3 URI: s3://bucket/key was expected')
    bucket, _, key = path.partition("/")
    return bucket, key


def download(services: Services, uri: str, folder: Path, *, data_type: str = "S3Prefix", gunzip: bool = False) -> int:
    """Copies the objects of an S3 data source into `folder` and returns their number. Raises MissingData for none."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for bucket, key, name in _list_sources(services, uri, data_type):
        target = folder / name
        if not target.resolve().is_relative_to(folder.resolve()):
            raise DataSourceError(f'object "{key}" of {uri} would be written outside its folder')
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
    """Returns the content type that a file is stored with.

    >>> content_type(Path("a.json")), content_type(Path("a.unknown"))
    ('application/json', 'binary/octet-stream')
    """
    return mimetypes.guess_type(path.name)[0] or "binary/octet-stream"


def relative_name(prefix: str, key: str) -> str:
    """Returns an object's path relative to the channel's folder.

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
