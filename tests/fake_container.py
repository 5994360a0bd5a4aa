"""A fake container that follows the image's contract with the standard library only."""
# ruff: noqa: T201, SIM112

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(os.environ.get("BEDPLATE_CONTAINER_ROOT", "/opt/ml"))


def train() -> int:
    hyperparameters = json.loads((ROOT / "input/config/hyperparameters.json").read_text())
    print("training begins", flush=True)
    if hyperparameters.get("fail"):
        (ROOT / "output/failure").write_text("ValueError: " + hyperparameters["fail"])
        return 1
    if hyperparameters.get("hang"):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("hanging", flush=True)
        time.sleep(600)
    if hyperparameters.get("blocks"):  # trains in blocks with a checkpoint each, and may wait for an interruption
        path = ROOT / "checkpoints" / "last_block"
        block = int(path.read_text()) if path.exists() else 0
        print(f"begins after block {block}", flush=True)
        while block < int(hyperparameters["blocks"]):
            block += 1
            path.write_text(str(block))
            print(f"saved block {block}", flush=True)
            if block in json.loads(hyperparameters.get("wait_after", "[]")):
                signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
                time.sleep(600)
    if "x" in hyperparameters:  # a trial of a tuning, whose score is best at x = 3
        print(f"metric: score={-((float(hyperparameters['x']) - 3) ** 2)}", flush=True)
        if hyperparameters["x"] == "0":  # a bad trial that does not end by itself
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
            time.sleep(600)
    rows = sum(p.stat().st_size for p in (ROOT / "input/data/training").rglob("*") if p.is_file())
    print(f"metric: rows={rows}\nmetric: auc=0.5\nmetric: auc=0.75", flush=True)
    (ROOT / "model/weights.txt").write_text(hyperparameters.get("weights", "1"))
    (ROOT / "output/data/report.txt").write_text("report")
    secrets = [k for k in os.environ if k.startswith("AWS_") and ("KEY" in k or "ENDPOINT" in k or "TOKEN" in k)]
    print(f"secrets: {secrets}", flush=True)
    return 0


def monitor() -> int:
    source = Path(os.environ["dataset_source"])
    lines = [line for p in sorted(source.rglob("*.jsonl")) for line in p.read_text().splitlines()]
    output = Path(os.environ["output_path"])
    labels = [line for p in (ROOT / "processing/input/labels").rglob("*.jsonl") for line in p.read_text().splitlines()]
    report = {"records": len(lines), "window": os.environ.get("start_time"), "labels": len(labels)}
    (output / "drift.json").write_text(json.dumps(report))
    (ROOT / "output/message").write_text(os.environ.get("message", "CompletedWithViolations: drift in one feature"))
    metric = {
        "MetricName": "bedplate_max_psi",
        "Namespace": "aws/sagemaker/Endpoints/data-metrics",
        "Dimensions": [{"Name": "Endpoint", "Value": os.environ.get("sagemaker_endpoint_name", "")}],
        "Value": 0.4,
        "Unit": "None",
        "Timestamp": "2026-01-01T00:00:00Z",
    }
    (ROOT / "output/metrics/cloudwatch/cloudwatch_metrics.jsonl").write_text(json.dumps(metric) + "\n")
    return int(os.environ.get("exit_code", "0"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(200, b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"die":
            os._exit(3)
        if body == b"bad":
            self._send(400, b'{"error": "missing column", "column": "hour"}')
            return
        if body == b"boom":
            self._send(500, b"boom")
            return
        release = os.environ.get("BEDPLATE_RELEASE", "?")
        if body == b"emf":
            metric = {
                "Namespace": "Bedplate/Serving",
                "Dimensions": [["Release"]],
                "Metrics": [{"Name": "Predictions"}],
            }
            aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [metric]}
            print(json.dumps({"_aws": aws, "Release": release, "Predictions": 5}), flush=True)
        weights = ROOT / "model/weights.txt"
        self._send(200, f"{release} {weights.read_text() if weights.exists() else '-'}".encode())

    def log_message(self, *_: object) -> None:
        pass

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", self.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", f"release={os.environ.get('BEDPLATE_RELEASE', '?')}")
        self.end_headers()
        self.wfile.write(body)


def serve() -> int:
    if os.environ.get("BROKEN"):
        print("ModuleNotFoundError: no module named 'lightgbm'", flush=True)
        return 1
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
    return 0


def track() -> int:
    if "--backend-store-uri" not in sys.argv:
        return 2
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit({"train": train, "serve": serve, "monitor": monitor, "track": track}[sys.argv[1]]())
