"""Secrets at rest, in the format of Pulumi's passphrase provider: AES-256-GCM, key by PBKDF2-SHA256 over a salt."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import secrets as random
import threading
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from bedplate.engine.property_values import PLAIN, SECRET_SIGNATURE, SIGNATURE
from bedplate.engine.protocol import Secret
from bedplate.errors import BedplateError

ITERATIONS = 1_000_000
"""Pulumi's figure for version 1 of its salt."""
_PROOF = "pulumi"


class Crypter:
    """Encrypts and decrypts with one passphrase; the key is derived when the first secret turns up (0.4 s).

    `salt` is Pulumi's `encryptionsalt`: `v1:<salt>:v1:<nonce>:<proof>`; empty, a new one is made at the first use.
    `kept` is a file that remembers the derived key.
    """

    def __init__(
        self, passphrase: Callable[[], str], salt: str = "", *, key: bytes | None = None, kept: Path | None = None
    ) -> None:
        self._passphrase = passphrase
        self._salt = salt
        self._key = key
        self._kept = kept

    @property
    def salt(self) -> str:
        self._ready()
        return self._salt

    @property
    def started(self) -> bool:
        """Whether there is a salt: one was given, or a secret was encrypted."""
        return bool(self._salt)

    def encrypt(self, plaintext: str) -> str:
        """`v1:<nonce>:<ciphertext>`, both base64."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = random.token_bytes(12)
        sealed = AESGCM(self._ready()).encrypt(nonce, plaintext.encode(), None)
        return f"v1:{_b64(nonce)}:{_b64(sealed)}"

    def decrypt(self, ciphertext: str) -> str:
        return self._open(self._ready(), ciphertext)

    def _ready(self) -> bytes:
        if self._key is not None and self._salt:
            return self._key
        if not self._salt:
            salt = random.token_bytes(8)
            self._key = self._key or _derive(self._passphrase(), salt, self._kept)
            self._salt = f"v1:{_b64(salt)}:pending"
            self._salt = f"v1:{_b64(salt)}:{self.encrypt(_PROOF)}"
            return self._key
        _, salt_b64, proof = self._salt.split(":", 2)
        key = _derive(self._passphrase(), base64.b64decode(salt_b64), self._kept)
        if self._open(key, proof) != _PROOF:
            raise _wrong()
        self._key = key
        return key

    @staticmethod
    def _open(key: bytes, ciphertext: str) -> str:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        version, nonce, sealed = ciphertext.split(":", 2)
        if version != "v1":
            raise BedplateError(f"A secret of unknown version {version!r} stands in the state")
        try:
            return AESGCM(key).decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode()
        except InvalidTag as exc:
            raise _wrong() from exc


def _wrong() -> BedplateError:
    return BedplateError(
        "The passphrase does not open the secrets of this stack",
        next_step="export PULUMI_CONFIG_PASSPHRASE=<the one it was made with>",
    )


_DERIVING = threading.Lock()
"""Who asks for a key that is being derived waits for it, instead of deriving it too."""


def prepare(salt: str, passphrase: Callable[[], str], kept: Path | None = None) -> None:
    """Derive the key of a salt in another thread, while this one has something else to do."""
    if salt.startswith("v1:"):
        salt_b64 = salt.split(":", 2)[1]
        derive = partial(_derive, passphrase(), base64.b64decode(salt_b64), kept)
        threading.Thread(target=derive, name="key", daemon=True).start()


def _derive(passphrase: str, salt: bytes, kept: Path | None) -> bytes:
    with _DERIVING:
        return _derived(passphrase, salt, kept)


@cache
def _derived(passphrase: str, salt: bytes, kept: Path | None) -> bytes:
    name = hashlib.sha256(salt + passphrase.encode()).hexdigest()
    known = _remembered(kept, name) if kept is not None else None
    if known is not None:
        return known
    key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ITERATIONS, 32)
    if kept is not None:
        _remember(kept, name, key)
    return key


def _remembered(kept: Path, name: str) -> bytes | None:
    """The key derived under this name (of passphrase and salt); whether it fits, its first use shows."""
    try:
        said, key_b64 = kept.read_text(encoding="ascii").split()
        key = base64.b64decode(key_b64)
    except (OSError, ValueError):
        return None
    return key if said == name and len(key) == 32 else None


def _remember(kept: Path, name: str, key: bytes) -> None:
    temporary = kept.with_name(f".{kept.name}.{os.getpid()}.tmp")
    with contextlib.suppress(OSError):  # then it is derived again the next time
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{name} {_b64(key)}\n")
        temporary.replace(kept)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def keepable(derived: Path) -> Path | None:
    """Where the derived key may be remembered: beside a passphrase that lies in a file of ours anyway, and nowhere
    when the passphrase is somebody's own, given by the environment."""
    given = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
    return None if any(name in os.environ for name in given) else derived


def passphrase(key_file: Path) -> str:
    """PULUMI_CONFIG_PASSPHRASE, or what PULUMI_CONFIG_PASSPHRASE_FILE names, or `key_file`, made (0600) if absent.

    Raises BedplateError when the file that the environment names cannot be read.
    """
    if "PULUMI_CONFIG_PASSPHRASE" in os.environ:
        return os.environ["PULUMI_CONFIG_PASSPHRASE"]
    named = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if named:
        try:
            return Path(named).read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise BedplateError(
                f"PULUMI_CONFIG_PASSPHRASE_FILE names {named}, which cannot be read: {exc.strerror}",
                next_step="unset PULUMI_CONFIG_PASSPHRASE_FILE, or name a file that exists",
            ) from exc
    if not key_file.exists():
        key_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(random.token_urlsafe(32))
    return key_file.read_text(encoding="utf-8").strip()


def seal(value: Any, crypter: Crypter) -> Any:
    """Plain data for the disk: every `Secret` as `{signature, ciphertext}`."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Secret):
        text = json.dumps(unsealed(value.value), separators=(",", ":"))
        return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": crypter.encrypt(text)}
    if isinstance(value, dict):
        return {key: seal(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [seal(item, crypter) for item in value]
    return value


def unsealed(value: Any) -> Any:
    """Plain data for an export with secrets shown: every `Secret` as `{signature, plaintext}`."""
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET_SIGNATURE, "plaintext": json.dumps(unsealed(value.value), separators=(",", ":"))}
    if isinstance(value, dict):
        return {key: unsealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unsealed(item) for item in value]
    return value


def unseal(value: Any, crypter: Crypter) -> Any:
    """The reverse of both: `Secret` again."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict):
        if value.get(SIGNATURE) == SECRET_SIGNATURE:
            text = value["plaintext"] if "plaintext" in value else crypter.decrypt(value["ciphertext"])
            return Secret(unseal(json.loads(text), crypter))
        return {key: unseal(item, crypter) for key, item in value.items()}
    if isinstance(value, list):
        return [unseal(item, crypter) for item in value]
    return value
