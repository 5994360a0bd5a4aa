"""Many processes write concurrently to one ledger on a real local platform, some with wrong clocks."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from datetime import timedelta
from itertools import pairwise

from bedplate.aws.clock import SystemClock
from bedplate.aws.session import Session
from bedplate.aws.storage.objects import S3Objects
from bedplate.workflows.record.ledger import Ledger

PROCESSES, RECORDS = 8, 10
BUCKET = "many-writers-ledger"
WRITER = """
import sys
from datetime import timedelta
from bedplate.aws.clock import SystemClock
from bedplate.aws.storage.objects import S3Objects
from bedplate.aws.session import Session
from bedplate.workflows.record.ledger import Ledger

url, bucket, name, offset_s, records = sys.argv[1:]

class Clock(SystemClock):
    def now(self):
        return super().now() + timedelta(seconds=float(offset_s))

ledger = Ledger(S3Objects(Session.local("us-east-1", url)), bucket, Clock())
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(records)):
    ledger.record("alert", f"{name} {number}", actor=name)
"""


def _start(url: str, name: str, offset_s: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, BUCKET, name, str(offset_s), str(RECORDS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_concurrent_writers_lose_no_record_and_times_never_decrease(platform: str) -> None:
    session = Session.local("us-east-1", platform)
    session.client("s3").create_bucket(Bucket=BUCKET)
    offsets = {f"writer-{i}": offset for i, offset in enumerate((0, 0, 0, 0, 0, -3600, -7200, 120))}
    assert len(offsets) == PROCESSES
    running = [_start(platform, name, offset) for name, offset in offsets.items()]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            _, stderr = process.communicate(timeout=240)
            assert process.returncode == 0, stderr
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.communicate()
    ledger = Ledger(S3Objects(session), BUCKET, SystemClock())
    result = ledger.verify()
    assert (result.ok, result.last_seq) == (True, PROCESSES * RECORDS)
    records = ledger.records()
    assert Counter(r.actor for r in records) == dict.fromkeys(offsets, RECORDS)
    for name in offsets:  # each writer's records are in order
        assert [r.summary for r in records if r.actor == name] == [f"{name} {n}" for n in range(RECORDS)]
    assert all(a.at <= b.at for a, b in pairwise(records))
    first_ahead = next(r.seq for r in records if r.actor == "writer-7")
    assert {s.seq for s in result.clock_skews} >= set(range(first_ahead, PROCESSES * RECORDS + 1))
    assert records[-1].at - SystemClock().now() > timedelta(0)  # the clock that is ahead advances the ledger's time
