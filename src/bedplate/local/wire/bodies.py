"""Reads request bodies before the platform's lock is taken: into memory, or into a file for large S3 objects."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from bedplate.local.storage.blobs import BlobStore, body_chunks, decoded_chunks

_MIN_FILE_BYTES = 64 * 1024
"""Object uploads from this size on are received into a file."""

Environ = dict[str, Any]


def receive(environ: Environ, service: str) -> None:
    """Replaces `wsgi.input` by the body in memory; the bytes of a large S3 object go into a Blob, `bedplate.body`.

    The Blob contains the decoded bytes of an aws-chunked upload (`STREAMING-...`, with signatures between the chunks),
    so its content hash header is set to UNSIGNED-PAYLOAD.
    """
    stream = environ["wsgi.input"]
    is_chunked = environ.pop("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    length = None if is_chunked else int(environ.get("CONTENT_LENGTH") or 0)
    body = b""
    if service == "s3" and _is_object_upload(environ) and (length is None or length >= _MIN_FILE_BYTES):
        if environ.get("HTTP_X_AMZ_CONTENT_SHA256", "").startswith("STREAMING-"):
            chunks = decoded_chunks(stream.read, stream.readline)
            environ["HTTP_X_AMZ_CONTENT_SHA256"] = "UNSIGNED-PAYLOAD"
        else:
            chunks = body_chunks(stream.read, length)
        algorithm = environ.get("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "")
        environ["bedplate.body"] = BlobStore.current.receive(chunks, algorithm)
    else:
        body = b"".join(body_chunks(stream.read, length))
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["wsgi.input"] = io.BytesIO(body)


def discard(environ: Environ) -> None:
    """Deletes the received file; does nothing when the operation stored the object, because that moves the file."""
    blob = environ.get("bedplate.body")
    if blob is not None:
        blob.path.unlink(missing_ok=True)


def _is_object_upload(environ: Mapping[str, Any]) -> bool:
    """Returns whether the body of a request to S3 is the bytes of an object, or of a part."""
    parameters = {pair.split("=", 1)[0] for pair in environ.get("QUERY_STRING", "").split("&") if pair}
    return (
        environ["REQUEST_METHOD"] == "PUT"
        and "/" in environ.get("PATH_INFO", "/").strip("/")
        and parameters <= {"uploadId", "partNumber", "x-id"}
        and "HTTP_X_AMZ_COPY_SOURCE" not in environ
    )
