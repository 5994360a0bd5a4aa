"""Says in Bedplate's terms what AWS refused: the one place where foreign exceptions change language."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bedplate.errors import BedplateError, Conflict, Denied, NotFound, PlatformError

_MISSING = {
    "404",
    "NoSuchBucket",
    "NoSuchKey",
    "NotFound",
    "NotFoundException",
    "ParameterNotFound",
    "RepositoryNotFoundException",
    "ResourceNotFound",
    "ResourceNotFoundException",
}
_CONFLICT = {
    "409",
    "412",
    "AlreadyExistsException",
    "ConditionalRequestConflict",
    "ConflictException",
    "PreconditionFailed",
    "ResourceInUse",
    "ResourceInUseException",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403"}
_SAGEMAKER_MISSING = ("could not find", "does not exist", "not found", "cannot find")
"""SageMaker has no code of its own for what does not exist: it is a ValidationException that says so."""


@contextmanager
def translated(doing: str, *, next_step: str | None = None) -> Iterator[None]:
    """Run a call; what it raises becomes a BedplateError that begins with `doing`.

    Raises NotFound, Conflict or PlatformError. `next_step` is the command to type when the thing asked for is missing.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        raise _refusal(exc, doing, next_step) from exc
    except BotoCoreError as exc:
        raise _no_way(exc, doing) from exc


def code_of(exc: Any) -> str:
    """The error code of a ClientError, e.g. `NoSuchKey`."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def is_missing(exc: Any) -> bool:
    """Whether a ClientError says that the thing asked for does not exist."""
    code = code_of(exc)
    if code in ("ValidationException", "ValidationError"):
        message = str(exc.response.get("Error", {}).get("Message", "")).lower()
        return any(words in message for words in _SAGEMAKER_MISSING)
    return code in _MISSING


def is_conflict(exc: Any) -> bool:
    """Whether a ClientError says that the thing exists already, or changed under our hands."""
    code, message = code_of(exc), str(exc.response.get("Error", {}).get("Message", "")).lower()
    return code in _CONFLICT or (code == "ValidationException" and "already exist" in message)


def _refusal(exc: Any, doing: str, next_step: str | None) -> BedplateError:
    code, message = code_of(exc), str(exc.response.get("Error", {}).get("Message", "") or exc)
    said = f"{doing}: {message} ({code})"
    if is_missing(exc):
        return NotFound(said, next_step=next_step)
    if is_conflict(exc):
        return Conflict(said, next_step=next_step)
    if code in _EXPIRED:
        return PlatformError(f"{doing}: your AWS credentials have expired", next_step="aws sso login")
    if code in _DENIED:
        return Denied(f"{said}. The identity you use may not do this.", next_step="aws sts get-caller-identity")
    return PlatformError(said, next_step=next_step)


def _no_way(exc: Any, doing: str) -> BedplateError:
    from botocore import exceptions as boto

    if isinstance(exc, boto.NoCredentialsError | boto.PartialCredentialsError):
        return PlatformError(f"{doing}: there are no AWS credentials", next_step="aws configure sso")
    if isinstance(exc, boto.UnauthorizedSSOTokenError | boto.SSOTokenLoadError | boto.TokenRetrievalError):
        return PlatformError(f"{doing}: your AWS sign-in has ended", next_step="aws sso login")
    if isinstance(exc, boto.ProfileNotFound):
        return PlatformError(f"{doing}: {exc}", next_step="aws configure list-profiles")
    url = str(getattr(exc, "kwargs", {}).get("endpoint_url") or "")
    if isinstance(exc, boto.HTTPClientError | boto.ConnectionError):
        if urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
            address = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
            return PlatformError(
                f"{doing}: the local platform does not answer at {address}", next_step="bedplate local start"
            )
        return PlatformError(f"{doing}: AWS cannot be reached: {exc}", next_step="aws sts get-caller-identity")
    return PlatformError(f"{doing}: {exc}")
