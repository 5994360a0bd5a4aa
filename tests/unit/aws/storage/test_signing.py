"""A signature is valid only for the key that signed and the digest that was signed."""

from __future__ import annotations

import hashlib

import pytest

from bedplate.aws.session import Session
from bedplate.aws.storage.signing import KmsSigner
from bedplate.errors import NotFound


def create_key(session: Session) -> str:
    response = session.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    return str(response["KeyMetadata"]["Arn"])


def test_a_signature_is_valid_only_for_its_digest_and_its_key(session: Session) -> None:
    signer, key = KmsSigner(session), create_key(session)
    digest, other = hashlib.sha256(b"data").digest(), hashlib.sha256(b"other data").digest()
    signature = signer.sign(key, digest)
    assert signer.verify(key, digest, signature)
    assert not signer.verify(key, other, signature)
    assert not signer.verify(create_key(session), digest, signature)
    assert not signer.verify(key, digest, signature[:-1] + bytes([signature[-1] ^ 1]))


def test_signing_with_an_unknown_key_raises_not_found(session: Session) -> None:
    missing = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    with pytest.raises(NotFound):
        KmsSigner(session).sign(missing, hashlib.sha256(b"").digest())
