"""Runs a model's training script in SageMaker's script mode, and leaves beside the model what serving needs to know."""

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
_PRIVATE = ("sagemaker_", "_tuning_")
"""Hyper-parameters that SageMaker adds for itself."""


class TrainingFailed(Exception):
    """Why there is no model: what `output/failure` says."""


def main() -> int:
    root = paths.root()
    try:
        train(root)
    except TrainingFailed as failed:
        print(f"training failed: {str(failed).splitlines()[0]}", file=sys.stderr, flush=True)
        output = root / "output"
        output.mkdir(parents=True, exist_ok=True)
        (output / "failure").write_text(str(failed)[:MAX_FAILURE], encoding="utf-8")
        return 1
    return 0


def train(root: Path) -> None:
    """From the channels below `root/input` to `root/model`. Raises TrainingFailed."""
    parameters = _parameters(root)
    code = _unpack(root)
    entry_point = parameters.get("sagemaker_program", "train.py")
    if not (code / entry_point).is_file():
        have = ", ".join(sorted(p.name for p in code.iterdir()))
        raise TrainingFailed(f"The entry point {entry_point} is not in the model's folder (there are: {have})")
    model = root / "model"
    model.mkdir(parents=True, exist_ok=True)
    (root / "output" / "data").mkdir(parents=True, exist_ok=True)
    options = {key: value for key, value in parameters.items() if not key.startswith(_PRIVATE)}
    started = time.monotonic()
    _run([sys.executable, entry_point, *_arguments(options)], code, script_environment(root, options, entry_point))
    if not any(model.iterdir()):
        raise TrainingFailed(f"{entry_point} ended well, but wrote nothing to SM_MODEL_DIR")
    _add_code(code, model)
    _add_contract(code, model)
    _add_record(root, model, time.monotonic() - started)


def script_environment(root: Path, options: Mapping[str, str], entry_point: str) -> dict[str, str]:
    """What SageMaker's training toolkit sets for a script, over this process's environment.

    `SM_CHECKPOINT_DIR` is ours: SageMaker makes `/opt/ml/checkpoints` for a job with checkpoints, and only then.
    """
    channels = {p.name: p for p in sorted((root / "input" / "data").glob("*")) if p.is_dir()}
    resources = _json(root / "input" / "config" / "resourceconfig.json")
    host = str(resources.get("current_host", "algo-1"))
    hosts = list(resources.get("hosts") or [host])
    values = {name: _typed(text) for name, text in options.items()}
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
    whole = {
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
        "PYTHONHASHSEED": options.get("seed", "0"),
        **os.environ,
        **{name: str(path) for name, path in directories.items()},
        **{f"SM_HP_{name.upper().replace('-', '_')}": text for name, text in options.items()},
        "SM_CHANNELS": json.dumps(list(channels)),
        "SM_HPS": json.dumps(values),
        "SM_NUM_CPUS": cpus,
        "SM_NUM_GPUS": "0",
        "SM_CURRENT_HOST": host,
        "SM_HOSTS": json.dumps(hosts),
        "SM_USER_ENTRY_POINT": entry_point,
        "SM_TRAINING_ENV": json.dumps(whole),
        "PYTHONUNBUFFERED": "1",
    }


def _parameters(root: Path) -> dict[str, str]:
    return {key: _plain(text) for key, text in _json(root / "input" / "config" / "hyperparameters.json").items()}


def _plain(text: object) -> str:
    """SageMaker's hyper-parameters are text; the SDK writes some of them as JSON strings, with quotes.

    >>> _plain('"train.py"'), _plain("0.1"), _plain(3)
    ('train.py', '0.1', '3')
    """
    if not isinstance(text, str):
        return json.dumps(text)
    return str(json.loads(text)) if len(text) > 1 and text[0] == text[-1] == '"' else text


def _typed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _arguments(options: Mapping[str, str]) -> list[str]:
    return [word for name, text in options.items() for word in (f"--{name}", text)]


def _unpack(root: Path) -> Path:
    archive, code = root / "input" / "data" / "code" / CODE_ARCHIVE, root / "code"
    if not archive.is_file():
        raise TrainingFailed(f"Channel 'code' must hold {CODE_ARCHIVE}; it is not there")
    code.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(code, filter="data")
    except (tarfile.TarError, OSError, EOFError) as exc:
        raise TrainingFailed(f"{CODE_ARCHIVE} cannot be unpacked: {exc}") from exc
    return code


def _run(command: list[str], code: Path, environment: Mapping[str, str]) -> None:
    child = subprocess.Popen(command, cwd=code, env=dict(environment), stderr=subprocess.PIPE)
    before = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    assert child.stderr is not None
    reader = threading.Thread(target=_tee, args=(child.stderr, tail), daemon=True)
    reader.start()
    code_of_exit = child.wait()
    reader.join(timeout=5)  # what the script left behind may hold the stream open
    if not reader.is_alive():
        child.stderr.close()
    signal.signal(signal.SIGTERM, before)
    if code_of_exit != 0:
        raise TrainingFailed(_reason(command[1], code_of_exit, list(tail)))


def _tee(stream: IO[bytes], tail: deque[str]) -> None:
    for line in stream:
        text = line.decode("utf-8", "replace")
        tail.append(text.rstrip("\n"))
        sys.stderr.write(text)
        sys.stderr.flush()


def _reason(script: str, code: int, tail: list[str]) -> str:
    """The last exception first, then where it was raised.

    >>> said = ["Traceback (most recent call last):", '  File "train.py", line 3', "ValueError: no"]
    >>> print(_reason("train.py", 1, said))
    ValueError: no
    train.py exited with code 1
    Traceback (most recent call last):
      File "train.py", line 3
    """
    how = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
    said = [line for line in tail if line.strip()]
    if not said:
        return f"{script} {how} and said nothing"
    starts = [i for i, line in enumerate(said) if line.startswith("Traceback ")]
    traceback = said[starts[-1] : -1] if starts else said[-6:-1]
    head = f"{said[-1].strip()}\n{script} {how}\n"
    return head + "\n".join(traceback)[-max(0, MAX_FAILURE - len(head)) :]


def _add_code(code: Path, model: Path) -> None:
    for script in sorted(code.rglob("*.py")):
        target = model / "code" / script.relative_to(code)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(script, target)


def _add_contract(code: Path, model: Path) -> None:
    if (code / "contract.json").is_file():
        shutil.copyfile(code / "contract.json", model / "contract.json")
        return
    from bedplate.errors import SettingsError
    from bedplate.settings import ModelSpec, parse, read_yaml

    if not (code / "model.yaml").is_file():
        raise TrainingFailed("The model's folder holds neither contract.json nor model.yaml")
    try:
        spec = parse(ModelSpec, read_yaml(code / "model.yaml"), source="model.yaml")
    except SettingsError as exc:
        raise TrainingFailed(str(exc)) from exc
    (model / "contract.json").write_text(spec.model_dump_json(), encoding="utf-8")


def _add_record(root: Path, model: Path, seconds: float) -> None:
    contract = _json(model / "contract.json")
    columns = contract.get("data", {}).get("columns", {})
    record = {
        "python": platform.python_version(),
        "versions": {name: version for name in _VERSIONS if (version := _version(name))},
        "seconds": round(seconds, 3),
        "rows": _rows(root / "input" / "data" / "training"),
        "features": [name for name, column in columns.items() if column.get("role") in ("feature", "segment")],
    }
    (model / "training.json").write_text(json.dumps(record, indent=2), encoding="utf-8")


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _rows(channel: Path) -> int | None:
    """Rows of the channel's Parquet files by their footers; None when there is none that can be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = [pq.read_metadata(path).num_rows for path in sorted(channel.rglob("*.parquet"))]
    except (pa.ArrowException, OSError):
        return None
    return sum(found) if found else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else {}
