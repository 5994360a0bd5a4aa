"""How a process of ours ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def ended(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)


def test_what_was_said_is_written_and_what_was_registered_runs_before_the_process_ends() -> None:
    done = ended("""
        import atexit, sys, threading, time
        from bedplate.process_exit import end
        atexit.register(lambda: print("registered"))
        threading.Thread(target=lambda: (time.sleep(0.05), print("a thread"))).start()
        sys.stdout.write("said\\n")
        sys.stderr.write("warned\\n")
        end(5)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (5, "said\na thread\nregistered\n", "warned\n")


def test_an_idle_pool_does_not_keep_a_process() -> None:
    done = ended("""
        from concurrent.futures import ThreadPoolExecutor
        from bedplate.process_exit import end
        pool = ThreadPoolExecutor(2)
        pool.submit(print, "done").result()
        end(0)
    """)
    assert (done.returncode, done.stdout) == (0, "done\n")


def test_the_interpreter_is_not_taken_apart_so_that_no_foreign_thread_meets_it_half_gone() -> None:
    done = ended("""
        from bedplate.process_exit import end
        class Late:
            def __del__(self):
                print("taken apart")
        kept = Late()
        end(0)
    """)
    assert (done.returncode, done.stdout) == (0, "")


def test_arrow_reading_a_python_object_does_not_abort_a_process_that_ends() -> None:
    done = ended("""
        import io
        import pyarrow as pa
        import pyarrow.parquet as pq
        from bedplate.process_exit import end
        written = io.BytesIO()
        pq.write_table(pa.table({"prediction": [0.1, 0.2]}), written)
        pq.read_table(io.BytesIO(written.getvalue()))
        end(0)
    """)
    assert (done.returncode, done.stderr) == (0, "")
