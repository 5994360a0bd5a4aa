"""KMS: a key made without saying what for encrypts and decrypts, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import moto.kms.urls
from moto.kms.models import KmsBackend

from bedplate.local.services.installation import lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform


class Backend(KmsBackend):  # type: ignore[misc]
    _url_module = moto.kms.urls

    def create_key(self, policy: str | None, key_usage: str | None, *more: Any, **named: Any) -> Any:
        return super().create_key(policy, key_usage or "ENCRYPT_DECRYPT", *more, **named)


def install(_platform: LocalPlatform) -> None:
    """Lay this over moto's KMS."""
    lay("kms", backend=Backend)
