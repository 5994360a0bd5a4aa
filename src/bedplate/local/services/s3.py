"""S3: objects as files instead of in memory, bucket policies with their conditions, delete markers, event settings."""

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
from bedplate.local.services.installation import lay
from bedplate.local.services.s3_listing import list_objects_v2
from bedplate.local.services.s3_reading import read
from bedplate.local.services.storage_meter import INTERVAL_S, StorageMeter
from bedplate.local.storage.blobs import Blob, BlobStore, Digest
from bedplate.local.storage.persistence import BackendChanges
from bedplate.local.trail import access_log

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_asked = threading.local()
_CONDITION_HEADERS = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-acl",
    "x-amz-storage-class",
    "x-amz-content-sha256",
    "if-none-match",
    "if-match",
)
_FILE_AT_LEAST = 64 * 1024


class ObjectVersions(models._VersionedKeyStore):  # type: ignore[misc]
    """A bucket's objects, every version of each, knowing which changed since the last snapshot. They are kept one by
    one: the bucket's own snapshot holds none."""

    __folded__ = True

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
    """How S3's backend comes apart: buckets, and in them the versions of each key."""

    def changes(self, backend: Any) -> BackendChanges:
        parts: dict[tuple[str, str], Any] = {}
        anew = set()
        for bucket_name, key in Key.touched:
            bucket = backend.buckets.get(bucket_name)
            if bucket is not None and key in bucket.keys:
                bucket.keys.changed.add(key)
        Key.touched.clear()
        for name, bucket in backend.buckets.items():
            keys: ObjectVersions = bucket.keys
            if keys.is_new:
                anew.add(name)
                keys.changed.update(keys)
                keys.is_new = False
            parts.update({(name, key): keys.getlist(key) for key in keys.changed})
            keys.changed = set()
        return BackendChanges(frozenset(backend.buckets), frozenset(anew), parts)

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
    """An object whose bytes are a file. `value` is bytes, or a Blob while references are asked for."""

    blob: Blob
    disposed: bool
    _references: ClassVar[bool] = False
    touched: ClassVar[set[tuple[str, str]]] = set()

    @classmethod
    @contextmanager
    def by_reference(cls) -> Iterator[None]:
        """While this lasts (under the platform's lock), reading a value gives a Blob: copies copy no bytes."""
        cls._references = True
        try:
            yield
        finally:
            cls._references = False

    def __setattr__(self, name: str, value: Any) -> None:
        """Whatever of an object is set (an access list, a lock, an expiry) makes it one to keep again."""
        super().__setattr__(name, value)
        bucket = self.__dict__.get("bucket_name")
        if bucket and name != "disposed":
            self.touched.add((bucket, self.name))

    @property
    def value(self) -> Any:
        return self.blob if self._references else self.blob.read()

    @value.setter
    def value(self, new: Any) -> None:
        self._value_buffer = None  # moto's buffer in memory, which nothing uses
        old: Blob | None = self.__dict__.get("blob")
        self.blob = BlobStore.current.keep(new.encode() if isinstance(new, str) else new)
        self.contentsize = self.blob.length
        if old is not None:
            self._etag = None
            BlobStore.current.throw(old)

    @property
    def etag(self) -> str:
        return f'"{self._etag or self.blob.md5}"'

    def dispose(self, garbage: bool = False) -> None:
        if not garbage and not self.disposed:
            self.disposed = True
            BlobStore.current.throw(self.blob)

    def __del__(self) -> None:
        """Nothing: a file outlives the object in memory, and is swept when nobody speaks of it."""

    def __getstate__(self) -> dict[str, Any]:
        blob = self.blob
        row = (blob.path.name, blob.length, blob.md5, blob.checksums)
        dropped = ("_value_buffer", "lock", "blob")
        return {**{k: v for k, v in self.__dict__.items() if k not in dropped}, "blob": row}

    def __setstate__(self, state: dict[str, Any]) -> None:
        name, length, md5, checksums = state["blob"]
        path = BlobStore.current.folder / name[:2] / name
        self.__dict__.update(state, blob=Blob(path, 0, length, md5, checksums), _value_buffer=None)
        self.lock = threading.Lock()


class Multipart(FakeMultipart):  # type: ignore[misc]
    def complete(self, body: Iterator[tuple[int, str]]) -> tuple[Blob, str, tuple[str, str, int] | None]:
        """moto's checks, with the parts joined on disk."""
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
        whole = BlobStore.current.receive(piece for part in parts for piece in part.blob.opened().chunks())
        md5s = b"".join(bytes.fromhex(part.blob.md5) for part in parts)
        etag = f"{models.md5_hash(md5s).hexdigest()}-{len(parts)}"
        algorithm = self.metadata.get("x-amz-checksum-algorithm") or "CRC64NVME"
        kind = self.metadata.get("x-amz-checksum-type")
        if (kind or ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")) == "FULL_OBJECT":
            details = ("FULL_OBJECT", whole.checksum(algorithm), 1)
        else:
            of_parts = Digest(algorithm)
            for part in parts:
                one = Digest(algorithm)
                for piece in part.blob.opened().chunks():
                    one.update(piece)
                of_parts.update(one.digest())
            details = ("COMPOSITE", of_parts.base64(), len(parts))
        for part in self.parts.values():
            part.dispose()
        return whole, etag, details


class Backend(S3Backend):  # type: ignore[misc]
    _url_module = moto.s3.urls

    def copy_object(self, *args: Any, **kwargs: Any) -> None:
        with Key.by_reference():
            super().copy_object(*args, **kwargs)

    def upload_part_copy(self, *args: Any, **kwargs: Any) -> Any:
        with Key.by_reference():
            return super().upload_part_copy(*args, **kwargs)

    def log_incoming_request(self, request: Any, bucket_name: str) -> None:
        """moto writes an object for each request; here local.access_log writes one now and then."""


class Response(S3Response):  # type: ignore[misc]
    def setup_class(self, request: Any, full_url: str | None = None, headers: Any = None) -> None:
        super().setup_class(request, full_url, headers)
        received = request.environ.get("bedplate.body")
        if received is not None:
            self.body = received
        _asked.context = _context(self.current_account, request.headers, request.args)
        _asked.principal = f"arn:aws:iam::{self.current_account}:root"

    def key_response(self, request: Any, full_url: str, headers: dict[str, Any]) -> Any:
        status, answer_headers, content = super().key_response(request, full_url, headers)
        if status == 403 and not content and request.method != "HEAD":
            content = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            answer_headers["content-type"] = "application/xml"
        if isinstance(content, Blob):
            request.environ["bedplate.file"] = content.opened()
            content = b""
        return status, answer_headers, content

    def get_object(self) -> Any:
        with Key.by_reference():
            status, headers, content = super().get_object()
        small = isinstance(content, Blob) and content.length < _FILE_AT_LEAST
        return status, headers, content.read() if small else content

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
            closing = "</NotificationConfiguration>"
            if body.endswith("/>"):
                body = f"{body[:-2]}>{closing}"
            echoed = f"<EventBridgeConfiguration></EventBridgeConfiguration>{closing}"
            body = body.replace(closing, echoed)
            headers.pop("content-length", None)
        return status, headers, body

    def _get_checksum(self, response_headers: dict[str, Any]) -> tuple[str, str | None]:
        if not isinstance(self.body, Blob):
            found: tuple[str, str | None] = super()._get_checksum(response_headers)
            return found
        algorithm = self.headers.get("x-amz-sdk-checksum-algorithm", "")
        if not algorithm:
            return algorithm, None
        header = f"x-amz-checksum-{algorithm.lower()}"
        value = self.headers.get(header) or self.body.checksum(algorithm)
        response_headers[header] = value
        return algorithm, value


def _context(account: str, headers: Mapping[str, str], args: Mapping[str, str]) -> dict[str, str]:
    """The condition keys of a request. Its transport counts as secure: it never leaves the machine, and the same
    program must work here and behind TLS."""
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
    platform.store.after_load.append(lambda: _sweep(platform, store))
    platform.loops.append(("access log", platform.access_log.step, access_log.INTERVAL_S))
    verdicts = {
        PolicyDecision.ALLOW: PermissionResult.PERMITTED,
        PolicyDecision.DENY: PermissionResult.DENIED,
        PolicyDecision.NEUTRAL: PermissionResult.NEUTRAL,
    }

    def permission(bucket: Any, action: str, resource: str) -> Any:
        if bucket.policy is None:
            return PermissionResult.NEUTRAL
        context = getattr(_asked, "context", {})
        principal = getattr(_asked, "principal", None)
        said = evaluate([_document(bucket.policy)], action, resource, context=context, principal=principal)
        return verdicts[said]

    def allowed(bucket: Any, action: str, resource: str) -> bool:
        _asked.context, _asked.principal = plain, f"arn:aws:iam::{platform.account_id}:root"
        return permission(bucket, action, resource) is not PermissionResult.DENIED

    plain = _context(platform.account_id, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, {})
    platform.quick_read = lambda environ: read(platform.backend("s3", "aws").buckets, environ, Key, allowed)

    models.FakeBucket.get_permission = permission
    models.FakeBucket._log_permissions_enabled_policy = staticmethod(_log_delivery_may_write)
    models.FakeKey, models.FakeMultipart, models._VersionedKeyStore = Key, Multipart, ObjectVersions
    platform.store.partitions["s3"] = S3Partition()
    FakeDeleteMarker.etag, FakeDeleteMarker.size = "", 0
    FakeDeleteMarker.dispose = lambda _: None
    lay("s3", response=Response, backend=Backend)


@lru_cache(maxsize=64)
def _document(policy: str | bytes) -> Any:
    return json.loads(policy)


def _log_delivery_may_write(target_bucket: Any, target_prefix: str | None) -> bool:
    if not target_bucket.policy:
        return False
    resource = f"arn:aws:s3:::{target_bucket.name}/{target_prefix or ''}x"
    own = [
        {"Effect": said["Effect"], "Action": said["Action"], "Resource": said["Resource"]}
        for said in json.loads(target_bucket.policy)["Statement"]
        if isinstance(said["Principal"], dict) and models.LOGGING_SERVICE_PRINCIPAL in said["Principal"].values()
    ]
    return evaluate([{"Statement": own}], "s3:PutObject", resource, context={}) is PolicyDecision.ALLOW


def _sweep(platform: LocalPlatform, store: BlobStore) -> None:
    """Tell moto again which account holds each bucket, which it keeps outside of its backends, and drop orphans."""
    used = set()
    for account, region, backend in models.s3_backends.iter_backends():
        for bucket in backend.buckets.values():
            models.s3_backends.bucket_accounts[bucket.name] = (region, account)
            parts = [part for upload in bucket.multiparts.values() for part in upload.parts.values()]
            keys = [key for versions in dict.values(bucket.keys) for key in versions]
            used |= {key.blob.path for key in (*keys, *parts) if isinstance(key, Key)}
    orphans = store.sweep(used)
    if orphans:
        platform.log(f"removed {orphans} files that no object speaks of")
