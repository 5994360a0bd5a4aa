"""Reads Pulumi.yaml, and reads and writes stack files (Pulumi.<stack>.yaml), as Pulumi does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.atomic_file import write_atomically
from bedplate.engine.deployment.deployment import Configuration
from bedplate.engine.deployment.program import Program
from bedplate.engine.state.secrets import Crypter
from bedplate.errors import SettingsError, UsageError
from bedplate.settings import read_yaml


@dataclass(frozen=True, slots=True)
class Project:
    """A Pulumi project as Pulumi.yaml describes it."""

    root: Path
    name: str
    main: str
    config_dir: str

    @classmethod
    def load(cls, root: Path) -> Project:
        """Reads `root`/Pulumi.yaml. Raises UsageError without one, SettingsError if it has no project name."""
        path = root / "Pulumi.yaml"
        if not path.exists():
            raise UsageError(f"no Pulumi.yaml in {root}", next_step="cd <your project>")
        content = read_yaml(path)
        if not isinstance(content.get("name"), str):
            raise SettingsError(f"{path}: name: expected the project's name", next_step=f"$EDITOR {path}")
        return cls(root, content["name"], str(content.get("main", ".")), str(content.get("stackConfigDir", ".")))

    @property
    def program(self) -> Program:
        return Program(self.root, self.main)

    def stack_file(self, stack: str) -> Path:
        return self.root / self.config_dir / f"Pulumi.{stack}.yaml"

    def configuration(self, stack: str, passphrase: Callable[[], str]) -> Configuration:
        """Returns the configuration: structured values as JSON text, secrets in plaintext; empty without a file."""
        path = self.stack_file(stack)
        if not path.exists():
            return Configuration()
        content = read_yaml(path)
        crypter = Crypter(passphrase, content.get("encryptionsalt", ""))
        values: dict[str, str] = {}
        secret_keys = set()
        for key, value in (content.get("config") or {}).items():
            full_key = self.full_key(key)
            plain, secret = _decrypt_value(value, crypter)
            values[full_key] = plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"))
            if secret:
                secret_keys.add(full_key)
        return Configuration(values, frozenset(secret_keys))

    def full_key(self, key: str) -> str:
        """Returns a key with its namespace, which by default is the project.

        >>> Project(Path(), "shop", ".", ".").full_key("size")
        'shop:size'
        """
        return key if ":" in key else f"{self.name}:{key}"

    def set_value(self, stack: str, key: str, value: str, *, secret: bool, passphrase: Callable[[], str]) -> None:
        """Sets one value in the stack's file and keeps its other lines and comments."""
        path, full = self.stack_file(stack), self.full_key(key)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if secret:
            salt = (read_yaml(path) if path.exists() else {}).get("encryptionsalt", "")
            crypter = Crypter(passphrase, salt)
            value_text = json.dumps({"secure": crypter.encrypt(value)})
            if not salt:
                text = f"encryptionsalt: {crypter.salt}\n{text}"
        else:
            value_text = json.dumps(value, ensure_ascii=False)
        text = _set_yaml_entry(text, full, value_text, alias=key)
        write_atomically(path, text.encode())


def _set_yaml_entry(text: str, key: str, value_text: str, *, alias: str) -> str:
    """Returns the YAML text with `key: value_text` in its `config` block, in place of the entry `key` or `alias`."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"config:\s*(\{\s*\})?\s*(#.*)?$", line)), None)
    if start is None:
        return "\n".join([*lines, "config:", f"  {key}: {value_text}"]) + "\n"
    lines[start] = "config:"
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith((" ", "#"))):
        end += 1
    names = "|".join(re.escape(name) for name in {key, alias})
    entry = re.compile(rf"""  ["']?(?:{names})["']?:(\s|$)""")
    first = next((i for i in range(start + 1, end) if entry.match(lines[i])), None)
    if first is None:
        while end > start + 1 and not lines[end - 1].strip():
            end -= 1
        lines.insert(end, f"  {key}: {value_text}")
    else:
        last = first + 1
        while last < end and lines[last].startswith("   "):
            last += 1
        lines[first:last] = [f"  {key}: {value_text}"]
    return "\n".join(lines) + "\n"


def _decrypt_value(value: Any, crypter: Crypter) -> tuple[Any, bool]:
    if isinstance(value, dict) and value.keys() == {"secure"}:
        return crypter.decrypt(value["secure"]), True
    if isinstance(value, dict):
        parts = {key: _decrypt_value(item, crypter) for key, item in value.items()}
        return {key: plain for key, (plain, _) in parts.items()}, any(secret for _, secret in parts.values())
    if isinstance(value, list):
        items = [_decrypt_value(item, crypter) for item in value]
        return [plain for plain, _ in items], any(secret for _, secret in items)
    return value, False
