"""Patches moto's S3: stores objects as files, evaluates bucket policies, and adds delete markers and event settings."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import moto.s3.models as models
import moto.s3.urls
from moto.s3.exceptions import InvalidContinuationToken
from moto.s3.models import FakeDeleteMarker, FakeKey, FakeMultipart, S3Backend
from moto.s3.responses import S3Response

from bedplate.local.services.iam_policies import PolicyDecision, evaluate
from bedplate.local.services.installation import patch_service
from bedplate.local.services.s3_listing import list_objects_v2
from bedplate.local.services.s3_reading import read_object
from bedplate.local.services.storage_meter import INTERVAL_S, StorageMeter
from bedplate.local.storage.blobs import Blob, BlobStore, Digest
from bedplate.local.storage.persistence import BackendChanges
from bedplate.local.trail import access_log

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_current_request = threading.local()
"""`context` and `principal` of the request that this thread handles, for the evaluation of bucket policies."""
_CONDITION_HEADERS = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-acl",
    "x-amz-storage-class",
    "x-amz-content-sha256",
    "if-none-match",
    "if-match",
)
_MIN_FILE_SIZE = 64 * 1024  # bytes; smaller objects are sent from memory


class ObjectVersions(models._VersionedKeyStore):  # type: ignore[misc]
    """The object versions of a bucket; records which keys changed since the last snapshot.

    `S3Partition` stores each key by itself, so the snapshot of the bucket holds no keys.
    """

    __pickled_empty__ = True

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[str] = set()
        self.is_new = True

    def __setitem__(self, key: str, value: Any) -> None:
        self.changed.add(key)
        super().__setitem__(key, value)

    def setlist(self, key: Any, list_: Any) -> None:
        self.changed.add(key)
        super().setlist(key, list_)

    def pop(self, key: str) -> None:
        self.changed.add(key)
        super().pop(key)


class S3Partition:
    """Splits S3's backend for snapshots: a group is a bucket, a part is the list of versions of one key."""

    def changes(self, backend: Any) -> BackendChanges:
        parts: dict[tuple[str, str], Any] = {}
        new_buckets = set()
        for bucket_name, key in Key.touched:
            bucket = backend.buckets.get(bucket_name)
            if bucket is not None and key in bucket.keys:
                bucket.keys.changed.add(key)
        Key.touched.clear()
        for name, bucket in backend.buckets.items():
            keys: ObjectVersions = bucket.keys
            if keys.is_new:
                new_buckets.add(name)
                keys.changed.update(keys)
                keys.is_new = False
            parts.update({(name, key): keys.getlist(key) for key in keys.changed})
            keys.changed = set()
        return BackendChanges(frozenset(backend.buckets), frozenset(new_buckets), parts)

    def restore(self, backend: Any, parts: Iterable[tuple[str, str, Any]]) -> None:
        for bucket in backend.buckets.values():
            bucket.keys.is_new = False
        for bucket_name, key, versions in parts:
            if bucket_name in backend.buckets:
                dict.__setitem__(backend.buckets[bucket_name].keys, key, versions)
        Key.touched.clear()

    def forget(self, backend: Any) -> None:
        for bucket in backend.buckets.values():
            bucket.keys.is_new = True


class Key(FakeKey):  # type: ignore[misc]
    """An object whose bytes are a file. `value` is bytes, or a Blob within `by_reference`."""

    blob: Blob
    disposed: bool
    _references: ClassVar[bool] = False
    touched: ClassVar[set[tuple[str, str]]] = set()

    @classmethod
    @contextmanager
    def by_reference(cls) -> Iterator[None]:
        """Makes `value` return a Blob, so that moto copies no bytes. The caller holds the platform's lock."""
        cls._references = True
        try:
            yield
        finally:
            cls._references = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Marks the object for the next snapshot when any attribute (access list, lock, expiry) is set."""
        super().__setattr__(name, value)
        bucket = self.__dict__.get("bucket_name")
        if bucket and name != "disposed":
            self.touched.add((bucket, self.name))

    @property
    def value(self) -> Any:
        return self.blob if self._references else self.blob.read()

    @value.setter
    def value(self, content: Any) -> None:
        self._value_buffer = None  # moto's buffer in memory, which nothing uses
        old: Blob | None = self.__dict__.get("blob")
        self.blob = BlobStore.current.store(content.encode() if isinstance(content, str) else content)
        self.contentsize = self.blob.length
        if old is not None:
            self._etag = None
            BlobStore.current.discard(old)

    @property
    def etag(self) -> str:
        return f'"{self._etag or self.blob.md5}"'

    def dispose(self, garbage: bool = False) -> None:
        if not garbage and not self.disposed:
            self.disposed = True
            BlobStore.current.discard(self.blob)

    def __del__(self) -> None:
        """Does nothing: the file outlives the object in memory, and is removed when no snapshot refers to it."""

    def __getstate__(self) -> dict[str, Any]:
        blob = (self.blob.path.name, self.blob.length, self.blob.md5, self.blob.checksums)
        return {**{k: v for k, v in self.__dict__.items() if k not in ("_value_buffer", "lock")}, "blob": blob}

    def __setstate__(self, state: dict[str, Any]) -> None:
        name, length, md5, checksums = state["blob"]
        path = BlobStore.current.folder / name[:2] / name
        self.__dict__.update(state, blob=Blob(path, 0, length, md5, checksums), _value_buffer=None)
        self.lock = threading.Lock()


class Multipart(FakeMultipart):  # type: ignore[misc]
    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[Blob, str, tuple[str, str, int] | None]:
        """Checks the parts as moto does and joins them on disk; returns the object, its ETag and its checksum.

        The checksum is its type, its value and the number of parts. As on AWS, the ETag is the MD5 of the parts' MD5s
        and the number of parts, CRC64NVME covers the full object, and other algorithms cover the parts' checksums.
        """
        parts: list[Key] = []
        for number, etag in body:
            part = self.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise models.InvalidPart()
            if parts and parts[-1].contentsize < models.S3_UPLOAD_PART_MIN_SIZE:
                raise models.EntityTooSmall()
            parts.append(part)
        if not parts:
            raise models.MalformedXML()
        whole = BlobStore.current.receive(piece for part in parts for piece in part.blob.open_stream().chunks())
        md5s = b"".join(bytes.fromhex(part.blob.md5) for part in parts)
        etag = f"{models.md5_hash(md5s).hexdigest()}-{len(parts)}"
        algorithm = self.metadata.get("x-amz-checksum-algorithm") or "CRC64NVME"
        default_type = "FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE"
        if (self.metadata.get("x-amz-checksum-type") or default_type) == "FULL_OBJECT":
            checksum = ("FULL_OBJECT", whole.checksum(algorithm), 1)
        else:
            digest = Digest(algorithm)
            for part in parts:
                part_digest = Digest(algorithm)
                for piece in part.blob.open_stream().chunks():
                    part_digest.update(piece)
                digest.update(part_digest.digest())
            checksum = ("COMPOSITE", digest.base64(), len(parts))
        for part in self.parts.values():
            part.dispose()
        return whole, etag, checksum


class Backend(S3Backend):  # type: ignore[misc]
    _url_module = moto.s3.urls

    def copy_object(self, *args: Any, **kwargs: Any) -> None:
        with Key.by_reference():
            super().copy_object(*args, **kwargs)

    def upload_part_copy(self, *args: Any, **kwargs: Any) -> Any:
        with Key.by_reference():
            return super().upload_part_copy(*args, **kwargs)

    def log_incoming_request(self, request: Any, bucket_name: str) -> None:
        """Does nothing: moto writes a log object for each request; `trail.access_log` collects many in one object."""


class Response(S3Response):  # type: ignore[misc]
    def setup_class(self, request: Any, full_url: str | None = None, headers: Any = None) -> None:
        super().setup_class(request, full_url, headers)
        received = request.environ.get("bedplate.body")
        if received is not None:
            self.body = received
        _current_request.context = _condition_context(self.current_account, request.headers, request.args)
        _current_request.principal = f"arn:aws:iam::{self.current_account}:root"

    def key_response(self, request: Any, full_url: str, headers: dict[str, Any]) -> Any:
        status, response_headers, content = super().key_response(request, full_url, headers)
        if status == 403 and not content and request.method != "HEAD":
            # moto sends a denied call without a body, in which boto3 looks for the error code.
            content = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            response_headers["content-type"] = "application/xml"
        if isinstance(content, Blob):
            request.environ["bedplate.file"] = content.open_stream()
            content = b""
        return status, response_headers, content

    def get_object(self) -> Any:
        with Key.by_reference():
            status, headers, content = super().get_object()
        is_small = isinstance(content, Blob) and content.length < _MIN_FILE_SIZE
        return status, headers, content.read() if is_small else content

    def list_objects_v2(self) -> Any:
        bucket = self.backend.get_bucket(self.bucket_name)
        try:
            body = list_objects_v2(bucket, self.request.args)
        except ValueError as exc:
            raise InvalidContinuationToken() from exc
        return 200, {"content-type": "application/xml"}, body

    def get_bucket_notification(self) -> Any:
        status, headers, body = super().get_bucket_notification()
        settings = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if settings is not None and settings.event_bridge is not None:
            # moto stores the EventBridge setting and leaves it out of its response.
            end_tag = "</NotificationConfiguration>"
            if body.endswith("/>"):
                body = f"{body[:-2]}>{end_tag}"
            body = body.replace(end_tag, f"<EventBridgeConfiguration></EventBridgeConfiguration>{end_tag}")
            headers.pop("content-length", None)
        return status, headers, body

    def _get_checksum(self, response_headers: dict[str, Any]) -> tuple[str, str | None]:
        if not isinstance(self.body, Blob):
            return super()._get_checksum(response_headers)  # type: ignore[no-any-return]
        algorithm = self.headers.get("x-amz-sdk-checksum-algorithm", "")
        if not algorithm:
            return algorithm, None
        header = f"x-amz-checksum-{algorithm.lower()}"
        response_headers[header] = self.headers.get(header) or self.body.checksum(algorithm)
        return algorithm, response_headers[header]


def _condition_context(account: str, headers: Mapping[str, str], args: Mapping[str, str]) -> dict[str, str]:
    """Returns the condition keys of a request.

    `aws:SecureTransport` is true although the local platform has no TLS: requests never leave the machine, and buckets
    whose policy demands TLS must work here as on AWS.
    """
    context = {
        "aws:SecureTransport": "true",
        "aws:SourceIp": "127.0.0.1",
        "aws:PrincipalAccount": account,
        "aws:PrincipalArn": f"arn:aws:iam::{account}:root",
        "s3:authType": "REST-HEADER",
        "s3:signatureversion": "AWS4-HMAC-SHA256",
        "s3:TlsVersion": "1.3",
    }
    context |= {f"s3:{name}": headers[name] for name in _CONDITION_HEADERS if name in headers}
    context |= {f"s3:{k}": v for k, v in args.items() if k in ("prefix", "delimiter", "max-keys")}
    return context


def install(platform: LocalPlatform) -> None:
    from moto.iam.access_control import PermissionResult

    platform.loops.append(("storage", StorageMeter(platform).step, INTERVAL_S))
    store = BlobStore.current = BlobStore(platform.state_dir / "objects")
    platform.store.before_snapshot.append(store.before_snapshot)
    platform.store.after_snapshot.append(store.after_snapshot)
    platform.store.after_load.append(lambda: _restore_buckets(platform, store))
    platform.loops.append(("access log", platform.access_log.deliver, access_log.INTERVAL_S))
    permissions = {
        PolicyDecision.ALLOW: PermissionResult.PERMITTED,
        PolicyDecision.DENY: PermissionResult.DENIED,
        PolicyDecision.NEUTRAL: PermissionResult.NEUTRAL,
    }

    def get_permission(bucket: Any, action: str, resource: str) -> Any:
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        context = getattr(_current_request, "context", {})
        principal = getattr(_current_request, "principal", None)
        policies = [_parse_policy(bucket.policy)]
        return permissions[evaluate(policies, action, resource, context=context, principal=principal)]

    def is_allowed(bucket: Any, action: str, resource: str) -> bool:
        _current_request.context, _current_request.principal = plain_context, f"arn:aws:iam::{platform.account_id}:root"
        return get_permission(bucket, action, resource) is not PermissionResult.DENIED

    plain_context = _condition_context(platform.account_id, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, {})
    platform.read_object_fast = lambda environ: read_object(
        platform.backend("s3", "aws").buckets, environ, Key, is_allowed
    )

    models.FakeBucket.get_permission = get_permission
    models.FakeBucket._log_permissions_enabled_policy = staticmethod(_may_deliver_logs)
    models.FakeKey, models.FakeMultipart, models._VersionedKeyStore = Key, Multipart, ObjectVersions
    platform.store.partitions["s3"] = S3Partition()
    # moto reads these of every version of an object, and its delete markers lack them.
    FakeDeleteMarker.etag, FakeDeleteMarker.size = "", 0
    FakeDeleteMarker.dispose = lambda _: None
    patch_service("s3", response=Response, backend=Backend)


@lru_cache(maxsize=64)
def _parse_policy(policy: str | bytes) -> Any:
    return json.loads(policy)


def _may_deliver_logs(target_bucket: Any, target_prefix: str | None) -> bool:
    """Returns whether the target bucket's policy allows S3's logging service to write access logs.

    The conditions of the statements (source account and bucket) are ignored. moto itself accepts only a few spellings
    of such a statement.
    """
    if not target_bucket.policy:
        return False
    resource = f"arn:aws:s3:::{target_bucket.name}/{target_prefix or ''}x"
    statements = [
        {key: statement[key] for key in ("Effect", "Action", "Resource")}
        for statement in json.loads(target_bucket.policy)["Statement"]
        if isinstance(principal := statement["Principal"], dict)
        and models.LOGGING_SERVICE_PRINCIPAL in principal.values()
    ]
    return evaluate([{"Statement": statements}], "s3:PutObject", resource, context={}) is PolicyDecision.ALLOW


def _restore_buckets(platform: LocalPlatform, store: BlobStore) -> None:
    """Registers the account of each loaded bucket with moto, which stores it outside its backends; removes orphans.

    An orphan is a file that no object or part of an upload refers to, for example after a kill.
    """
    used = set()
    for account, region, backend in models.s3_backends.iter_backends():
        for bucket in backend.buckets.values():
            models.s3_backends.bucket_accounts[bucket.name] = (region, account)
            parts = [part for upload in bucket.multiparts.values() for part in upload.parts.values()]
            keys = [key for versions in dict.values(bucket.keys) for key in versions]
            used |= {key.blob.path for key in (*keys, *parts) if isinstance(key, Key)}
    orphans = store.remove_orphans(used)
    if orphans:
        platform.log(f"removed {orphans} files that no object refers to")
