"""exit_process flushes the output and skips the finalization of the interpreter."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)


def test_output_is_written_and_atexit_functions_run_before_the_process_exits() -> None:
    process = run_script("""
        import atexit, sys, threading, time
        from bedplate.process_exit import exit_process
        atexit.register(lambda: print("registered"))
        threading.Thread(target=lambda: (time.sleep(0.05), print("a thread"))).start()
        sys.stdout.write("output\\n")
        sys.stderr.write("warned\\n")
        exit_process(5)
    """)
    assert (process.returncode, process.stdout, process.stderr) == (5, "output\na thread\nregistered\n", "warned\n")


def test_an_idle_thread_pool_does_not_prevent_the_exit() -> None:
    process = run_script("""
        from concurrent.futures import ThreadPoolExecutor
        from bedplate.process_exit import exit_process
        pool = ThreadPoolExecutor(2)
        pool.submit(print, "done").result()
        exit_process(0)
    """)
    assert (process.returncode, process.stdout) == (0, "done\n")


def test_the_interpreter_is_not_finalized() -> None:
    process = run_script("""
        from bedplate.process_exit import exit_process
        class Late:
            def __del__(self):
                print("finalized")
        late = Late()
        exit_process(0)
    """)
    assert (process.returncode, process.stdout) == (0, "")


def test_an_arrow_thread_does_not_abort_an_exiting_process() -> None:
    process = run_script("""
        import io
        import pyarrow as pa
        import pyarrow.parquet as pq
        from bedplate.process_exit import exit_process
        table = io.BytesIO()
        pq.write_table(pa.table({"prediction": [0.1, 0.2]}), table)
        pq.read_table(io.BytesIO(table.getvalue()))
        exit_process(0)
    """)
    assert (process.returncode, process.stderr) == (0, "")
