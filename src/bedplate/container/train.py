"""Runs a training script in SageMaker's script mode and adds code, contract and training record to the model."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from bedplate.container import paths

CODE_ARCHIVE = "sourcedir.tar.gz"
MAX_FAILURE = 1024
_TAIL_LINES = 60
_VERSIONS = ("numpy", "pandas", "scikit-learn", "pyarrow", "joblib")
_INTERNAL_PREFIXES = ("sagemaker_", "_tuning_")
"""Prefixes of the hyperparameters that SageMaker adds; the script does not get them."""


class TrainingError(Exception):
    """The training produced no model; the message becomes the FailureReason (`output/failure`)."""


def main() -> int:
    root = paths.root()
    try:
        train(root)
    except TrainingError as exc:
        print(f"training failed: {str(exc).splitlines()[0]}", file=sys.stderr, flush=True)
        output = root / "output"
        output.mkdir(parents=True, exist_ok=True)
        (output / "failure").write_text(str(exc)[:MAX_FAILURE], encoding="utf-8")
        return 1
    return 0


def train(root: Path) -> None:
    """Trains with the channels in `root/input` and writes the model to `root/model`. Raises TrainingError."""
    hyperparameters = _read_hyperparameters(root)
    code = _unpack_code(root)
    entry_point = hyperparameters.get("sagemaker_program", "train.py")
    if not (code / entry_point).is_file():
        names = ", ".join(sorted(p.name for p in code.iterdir()))
        raise TrainingError(f"The entry point {entry_point} is not in the model's folder, which has: {names}")
    model = root / "model"
    model.mkdir(parents=True, exist_ok=True)
    (root / "output" / "data").mkdir(parents=True, exist_ok=True)
    public = {name: text for name, text in hyperparameters.items() if not name.startswith(_INTERNAL_PREFIXES)}
    arguments = [word for name, text in public.items() for word in (f"--{name}", text)]
    started = time.monotonic()
    _run_script([sys.executable, entry_point, *arguments], code, script_environment(root, public, entry_point))
    if not any(model.iterdir()):
        raise TrainingError(f"{entry_point} succeeded, but wrote nothing to SM_MODEL_DIR")
    _copy_code(code, model)
    _write_contract(code, model)
    _write_training_record(root, model, time.monotonic() - started)


def script_environment(root: Path, hyperparameters: Mapping[str, str], entry_point: str) -> dict[str, str]:
    """Returns this process's environment with the variables that SageMaker's training toolkit sets for a script.

    Bedplate adds `SM_CHECKPOINT_DIR` where `/opt/ml/checkpoints` exists, which is only in jobs with checkpoints.
    """
    channels = {p.name: p for p in sorted((root / "input" / "data").glob("*")) if p.is_dir()}
    resources = _read_json(root / "input" / "config" / "resourceconfig.json")
    host = str(resources.get("current_host", "algo-1"))
    hosts = list(resources.get("hosts") or [host])
    values = {name: _parse_value(text) for name, text in hyperparameters.items()}
    cpus = str(os.cpu_count() or 1)
    directories = {
        "SM_MODEL_DIR": root / "model",
        "SM_OUTPUT_DATA_DIR": root / "output" / "data",
        "SM_OUTPUT_DIR": root / "output",
        "SM_INPUT_DIR": root / "input",
        "SM_INPUT_CONFIG_DIR": root / "input" / "config",
        "SM_MODULE_DIR": root / "code",
        **({"SM_CHECKPOINT_DIR": root / "checkpoints"} if (root / "checkpoints").is_dir() else {}),
        **{f"SM_CHANNEL_{name.upper().replace('-', '_')}": path for name, path in channels.items()},
    }
    training_env = {
        "channel_input_dirs": {name: str(path) for name, path in channels.items()},
        "current_host": host,
        "hosts": hosts,
        "hyperparameters": values,
        "model_dir": str(root / "model"),
        "output_data_dir": str(root / "output" / "data"),
        "num_cpus": int(cpus),
        "num_gpus": 0,
        "user_entry_point": entry_point,
    }
    return {
        "PYTHONHASHSEED": hyperparameters.get("seed", "0"),
        **os.environ,
        **{name: str(path) for name, path in directories.items()},
        **{f"SM_HP_{name.upper().replace('-', '_')}": text for name, text in hyperparameters.items()},
        "SM_CHANNELS": json.dumps(list(channels)),
        "SM_HPS": json.dumps(values),
        "SM_NUM_CPUS": cpus,
        "SM_NUM_GPUS": "0",
        "SM_CURRENT_HOST": host,
        "SM_HOSTS": json.dumps(hosts),
        "SM_USER_ENTRY_POINT": entry_point,
        "SM_TRAINING_ENV": json.dumps(training_env),
        "PYTHONUNBUFFERED": "1",
    }


def _read_hyperparameters(root: Path) -> dict[str, str]:
    return {key: _unquote(text) for key, text in _read_json(root / "input" / "config" / "hyperparameters.json").items()}


def _unquote(text: object) -> str:
    """Returns a hyperparameter's text without the quotes of a JSON string.

    SageMaker's hyperparameters are text; the SDK writes some of them as JSON strings.

    >>> _unquote('"train.py"'), _unquote("0.1"), _unquote(3)
    ('train.py', '0.1', '3')
    """
    if not isinstance(text, str):
        return json.dumps(text)
    return str(json.loads(text)) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unpack_code(root: Path) -> Path:
    archive, code = root / "input" / "data" / "code" / CODE_ARCHIVE, root / "code"
    if not archive.is_file():
        raise TrainingError(f"Channel 'code' has no {CODE_ARCHIVE}")
    code.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(code, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise TrainingError(f"{CODE_ARCHIVE} cannot be unpacked: {exc}") from exc
    return code


def _run_script(command: list[str], code: Path, environment: Mapping[str, str]) -> None:
    process = subprocess.Popen(command, cwd=code, env=dict(environment), stderr=subprocess.PIPE)
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    assert process.stderr is not None
    reader = threading.Thread(target=_copy_stderr, args=(process.stderr, tail), daemon=True)
    reader.start()
    exit_code = process.wait()
    reader.join(timeout=5)  # a process that the script started may keep the stream open
    if not reader.is_alive():
        process.stderr.close()
    signal.signal(signal.SIGTERM, previous_handler)
    if exit_code != 0:
        raise TrainingError(_failure_reason(command[1], exit_code, list(tail)))


def _copy_stderr(stream: IO[bytes], tail: deque[str]) -> None:
    for line in stream:
        text = line.decode("utf-8", "replace")
        tail.append(text.rstrip("\n"))
        sys.stderr.write(text)
        sys.stderr.flush()


def _failure_reason(script: str, exit_code: int, tail: list[str]) -> str:
    """Returns the last exception, then the exit code and the traceback.

    >>> lines = ["Traceback (most recent call last):", '  File "train.py", line 3', "ValueError: no"]
    >>> print(_failure_reason("train.py", 1, lines))
    ValueError: no
    train.py exited with code 1
    Traceback (most recent call last):
      File "train.py", line 3
    """
    exit_text = f"was killed by signal {-exit_code}" if exit_code < 0 else f"exited with code {exit_code}"
    lines = [line for line in tail if line.strip()]
    if not lines:
        return f"{script} {exit_text}; stderr is empty"
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback ")]
    traceback = lines[starts[-1] : -1] if starts else lines[-6:-1]
    head = f"{lines[-1].strip()}\n{script} {exit_text}\n"
    return head + "\n".join(traceback)[-max(0, MAX_FAILURE - len(head)) :]


def _copy_code(code: Path, model: Path) -> None:
    for script in sorted(code.rglob("*.py")):
        target = model / "code" / script.relative_to(code)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(script, target)


def _write_contract(code: Path, model: Path) -> None:
    if (code / "contract.json").is_file():
        shutil.copyfile(code / "contract.json", model / "contract.json")
        return
    from bedplate.errors import SettingsError
    from bedplate.settings import ModelSpec, parse, read_yaml

    if not (code / "model.yaml").is_file():
        raise TrainingError("The model's folder has neither contract.json nor model.yaml")
    try:
        spec = parse(ModelSpec, read_yaml(code / "model.yaml"), source="model.yaml")
    except SettingsError as exc:
        raise TrainingError(str(exc)) from exc
    (model / "contract.json").write_text(spec.model_dump_json(), encoding="utf-8")


def _write_training_record(root: Path, model: Path, seconds: float) -> None:
    contract = _read_json(model / "contract.json")
    columns = contract.get("data", {}).get("columns", {})
    record = {
        "python": platform.python_version(),
        "versions": {name: version for name in _VERSIONS if (version := _package_version(name))},
        "seconds": round(seconds, 3),
        "rows": _count_rows(root / "input" / "data" / "training"),
        "features": [name for name, column in columns.items() if column.get("role") in ("feature", "segment")],
    }
    (model / "training.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


def _package_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _count_rows(channel: Path) -> int | None:
    """Returns the number of rows in the channel's Parquet files; None without files, or when one cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        counts = [pq.read_metadata(path).num_rows for path in sorted(channel.rglob("*.parquet"))]
    except (pa.ArrowException, OSError):
        return None
    return sum(counts) if counts else None


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}
