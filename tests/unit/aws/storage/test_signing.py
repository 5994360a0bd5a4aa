"""A signature is one key's over one digest, and nobody else's over nothing else."""

from __future__ import annotations

import hashlib

import pytest

from bedplate.aws.session import Session
from bedplate.aws.storage.signing import KmsSigner
from bedplate.errors import NotFound


def a_key(session: Session) -> str:
    made = session.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    return str(made["KeyMetadata"]["Arn"])


def test_a_signature_holds_for_its_digest_and_its_key_alone(session: Session) -> None:
    signer, key = KmsSigner(session), a_key(session)
    digest, other = hashlib.sha256(b"data").digest(), hashlib.sha256(b"other data").digest()
    signature = signer.sign(key, digest)
    assert signer.verify(key, digest, signature)
    assert not signer.verify(key, other, signature)
    assert not signer.verify(a_key(session), digest, signature)
    assert not signer.verify(key, digest, signature[:-1] + bytes([signature[-1] ^ 1]))


def test_a_key_that_is_not_there_is_not_found(session: Session) -> None:
    missing = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
    with pytest.raises(NotFound):
        KmsSigner(session).sign(missing, hashlib.sha256(b"").digest())
