"""Signs and verifies with an asymmetric key of KMS, whose private half never leaves it."""

from __future__ import annotations

from typing import Any

from bedplate.aws.errors import code_of, translated
from bedplate.aws.session import Session

ALGORITHM = "ECDSA_SHA_256"
"""What a key of spec ECC_NIST_P256 signs by (infra/storage.py)."""


class KmsSigner:
    """The `Signer` port."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sign(self, key: str, digest: bytes) -> bytes:
        """Raises NotFound for a key that does not exist, PlatformError when it may not be used."""
        with translated(f"Cannot sign with {key}"):
            told = self._kms.sign(KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm=ALGORITHM)
        return bytes(told["Signature"])

    def verify(self, key: str, digest: bytes, signature: bytes) -> bool:
        """False for a signature that is not the key's over this digest. KMS says so by an error."""
        from botocore.exceptions import ClientError

        with translated(f"Cannot verify with {key}"):
            try:
                told = self._kms.verify(
                    KeyId=key, Message=digest, MessageType="DIGEST", Signature=signature, SigningAlgorithm=ALGORITHM
                )
            except ClientError as exc:
                if code_of(exc) == "KMSInvalidSignatureException":
                    return False
                raise
        return bool(told["SignatureValid"])

    @property
    def _kms(self) -> Any:
        return self._session.client("kms")
