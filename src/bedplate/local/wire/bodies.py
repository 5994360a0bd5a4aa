"""Taking a request's body off the network before anything is locked: small ones to memory, objects' bytes to a file."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from bedplate.local.storage.blobs import BlobStore, body_chunks, decoded_chunks

_FILE_AT_LEAST = 64 * 1024

Environ = dict[str, Any]


def receive(environ: Environ, service: str) -> None:
    """Replace `wsgi.input` by what was read. An object of some size becomes `bedplate.body`, a Blob, instead."""
    stream = environ["wsgi.input"]
    chunked = environ.pop("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
    length = None if chunked else int(environ.get("CONTENT_LENGTH") or 0)
    body = b""
    if service == "s3" and _is_object_upload(environ) and (length is None or length >= _FILE_AT_LEAST):
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


def release(environ: Environ) -> None:
    """Let go of a file that nobody took: one that is kept has been moved elsewhere."""
    received = environ.get("bedplate.body")
    if received is not None:
        received.path.unlink(missing_ok=True)


def _is_object_upload(environ: Mapping[str, Any]) -> bool:
    """Whether a request to S3 carries an object's bytes, or a part's, in its body."""
    names = {pair.split("=", 1)[0] for pair in environ.get("QUERY_STRING", "").split("&") if pair}
    return (
        environ["REQUEST_METHOD"] == "PUT"
        and "/" in environ.get("PATH_INFO", "/").strip("/")
        and names <= {"uploadId", "partNumber", "x-id"}
        and "HTTP_X_AMZ_COPY_SOURCE" not in environ
    )
