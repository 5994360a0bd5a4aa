"""Signs and verifies digests with an asymmetric KMS key, whose private key never leaves KMS."""

from __future__ import annotations

from typing import Any

from bedplate.aws.errors import error_code, map_client_errors
from bedplate.aws.session import Session

ALGORITHM = "ECDSA_SHA_256"
"""The signing algorithm of keys with spec ECC_NIST_P256 (infra/storage.py)."""


class KmsSigner:
    """The `Signer` port."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def sign(self, key_arn: str, digest: bytes) -> bytes:
        """Raises NotFound for a key that does not exist, PlatformError when the caller may not use it."""
        with map_client_errors(f"Cannot sign with {key_arn}"):
            response = self._kms.sign(KeyId=key_arn, Message=digest, MessageType="DIGEST", SigningAlgorithm=ALGORITHM)
        return bytes(response["Signature"])

    def verify(self, key_arn: str, digest: bytes, signature: bytes) -> bool:
        """Returns whether the signature is the key's for this digest; KMS raises an error when it is not."""
        from botocore.exceptions import ClientError

        with map_client_errors(f"Cannot verify with {key_arn}"):
            try:
                response = self._kms.verify(
                    KeyId=key_arn, Message=digest, MessageType="DIGEST", Signature=signature, SigningAlgorithm=ALGORITHM
                )
            except ClientError as exc:
                if error_code(exc) == "KMSInvalidSignatureException":
                    return False
                raise
        return bool(response["SignatureValid"])

    @property
    def _kms(self) -> Any:
        return self._session.client("kms")
