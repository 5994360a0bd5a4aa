"""Pulumi.yaml and the stack's file, read and written the way Pulumi does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedplate.engine.deployment.deployment import Configuration
from bedplate.engine.deployment.program import Program
from bedplate.engine.state.secrets import Crypter
from bedplate.errors import SettingsError, UsageError
from bedplate.settings import read_yaml


@dataclass(frozen=True, slots=True)
class Project:
    """What Pulumi.yaml says."""

    root: Path
    name: str
    main: str
    config_dir: str

    @classmethod
    def load(cls, root: Path) -> Project:
        """Raises UsageError without a Pulumi.yaml, SettingsError for one that names no project."""
        path = root / "Pulumi.yaml"
        if not path.exists():
            raise UsageError(f"no Pulumi.yaml in {root}", next_step="cd <your project>")
        said = read_yaml(path)
        if not isinstance(said.get("name"), str):
            raise SettingsError(f"{path}: name: the project's name expected", next_step=f"$EDITOR {path}")
        return cls(root, said["name"], str(said.get("main", ".")), str(said.get("stackConfigDir", ".")))

    @property
    def program(self) -> Program:
        return Program(self.root, self.main)

    def stack_file(self, stack: str) -> Path:
        return self.root / self.config_dir / f"Pulumi.{stack}.yaml"

    def configuration(self, stack: str, passphrase: Callable[[], str]) -> Configuration:
        """The stack's configuration; structured values as JSON text, secrets opened. Empty without a file."""
        path = self.stack_file(stack)
        if not path.exists():
            return Configuration()
        said = read_yaml(path)
        crypter = Crypter(passphrase, said.get("encryptionsalt", ""))
        values: dict[str, str] = {}
        secret_keys = set()
        for key, value in (said.get("config") or {}).items():
            full = self.full_key(key)
            plain, secret = _opened(value, crypter)
            values[full] = plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"))
            if secret:
                secret_keys.add(full)
        return Configuration(values, frozenset(secret_keys))

    def full_key(self, key: str) -> str:
        """A key with its namespace: without one it is the project's own.

        >>> Project(Path(), "shop", ".", ".").full_key("size")
        'shop:size'
        """
        return key if ":" in key else f"{self.name}:{key}"

    def set(self, stack: str, key: str, value: str, *, secret: bool, passphrase: Callable[[], str]) -> None:
        """Put one value in the stack's file; its other lines, and its comments, stay as they are."""
        path, full = self.stack_file(stack), self.full_key(key)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if secret:
            salt = (read_yaml(path) if path.exists() else {}).get("encryptionsalt", "")
            crypter = Crypter(passphrase, salt)
            shown = json.dumps({"secure": crypter.encrypt(value)})
            if not salt:
                text = f"encryptionsalt: {crypter.salt}\n{text}"
        else:
            shown = json.dumps(value, ensure_ascii=False)
        text = _with_entry(text, full, shown, also=key)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)


def _with_entry(text: str, key: str, shown: str, *, also: str) -> str:
    """The YAML text with `key: shown` in its `config` block, in the place of an entry of that name."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(r"config:\s*(\{\s*\})?\s*(#.*)?$", line)), None)
    if start is None:
        return "\n".join([*lines, "config:", f"  {key}: {shown}"]) + "\n"
    lines[start] = "config:"
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith((" ", "#"))):
        end += 1
    names = "|".join(re.escape(name) for name in {key, also})
    entry = re.compile(rf"""  ["']?(?:{names})["']?:(\s|$)""")
    first = next((i for i in range(start + 1, end) if entry.match(lines[i])), None)
    if first is None:
        while end > start + 1 and not lines[end - 1].strip():
            end -= 1
        lines.insert(end, f"  {key}: {shown}")
    else:
        last = first + 1
        while last < end and lines[last].startswith("   "):
            last += 1
        lines[first:last] = [f"  {key}: {shown}"]
    return "\n".join(lines) + "\n"


def _opened(value: Any, crypter: Crypter) -> tuple[Any, bool]:
    if isinstance(value, dict) and value.keys() == {"secure"}:
        return crypter.decrypt(value["secure"]), True
    if isinstance(value, dict):
        parts = {key: _opened(item, crypter) for key, item in value.items()}
        return {key: plain for key, (plain, _) in parts.items()}, any(secret for _, secret in parts.values())
    if isinstance(value, list):
        items = [_opened(item, crypter) for item in value]
        return [plain for plain, _ in items], any(secret for _, secret in items)
    return value, False
