"""What the command `depois filter` does when the disk is full, the pipe breaks or somebody stops it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guard.filter.sinks import OUTPUTS
from tests.support.bundles import TABLE, make_bundle
from tests.support.streams import make_stream

REPOSITORY = Path(__file__).parents[2]
LINES = make_stream(TABLE, 4000, 30)
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def samples(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_bytes(b"\n".join(LINES) + b"\n")
    return path


def command(samples, bundle, out, *options):
    program = [sys.executable, "-m", "guard.cli.main", "filter", str(samples)]
    return [*program, "--bundle", str(bundle), "--out", str(out), "--threads", "1", *options]


def depois(samples, bundle, out, *options, **how):
    return ran(command(samples, bundle, out, *options), text=True, **how)


def ran(program, **how):
    return subprocess.run(program, cwd=REPOSITORY, capture_output=True, timeout=PATIENCE_SECONDS, **how)


def outputs(out):
    return {name: (out / name).read_bytes() for name in OUTPUTS}


def wait_for(process, condition):
    """Until the process has come so far; fails when it ends before, or never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02)


def test_the_command_ends_with_3_when_records_were_rejected_and_0_when_none(samples, bundle, tmp_path):
    done = depois(samples, bundle, tmp_path / "out", "--json")
    assert (done.returncode, done.stderr) == (3, "")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "summary.json").read_bytes())
    samples.write_bytes((tmp_path / "out" / "clean.jsonl").read_bytes())
    again = depois(samples, bundle, tmp_path / "again")
    assert (again.returncode, again.stderr) == (0, "")
    assert "clean" in again.stdout
    assert (tmp_path / "again" / "clean.jsonl").read_bytes() == samples.read_bytes()


def test_a_pipe_gives_what_the_file_gives(samples, bundle, tmp_path):
    depois(samples, bundle, tmp_path / "file")
    with samples.open("rb") as file:
        piped = ran(command("-", bundle, tmp_path / "pipe"), stdin=file)
    assert piped.returncode == 3
    sorted_out = [outputs(tmp_path / name) for name in ("file", "pipe")]
    for name in OUTPUTS[:3]:
        assert sorted_out[0][name] == sorted_out[1][name]


def test_a_sender_that_breaks_off_leaves_one_rejected_record(bundle, tmp_path):
    cut = b"\n".join(LINES[:5])[:-20]
    done = ran(command("-", bundle, tmp_path / "out"), input=cut)
    assert done.returncode == 3
    assert (tmp_path / "out" / "rejected.jsonl").read_bytes().endswith(LINES[4][:-20] + b"\n")


@pytest.mark.parametrize(("name", "number"), [("SIGINT", signal.SIGINT), ("SIGTERM", signal.SIGTERM)])
def test_a_signal_during_a_wait_for_input_keeps_all_that_came(bundle, tmp_path, name, number):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("-", bundle, out), cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(b"\n".join(LINES[:100]) + b'\n{"source": "half')
    process.stdin.flush()
    wait_for(process, lambda: (out / "clean.jsonl").exists() and (out / "clean.jsonl").stat().st_size)
    process.send_signal(number)
    assert process.wait(PATIENCE_SECONDS) == 1  # standard input stays open until then
    _, words = process.communicate()
    assert f"stopped by {name} after 100 records" in words.decode()
    assert "a pipe cannot be resumed" in words.decode()
    kept = outputs(out)
    assert sum(kept[name].count(b"\n") for name in OUTPUTS[:3]) == 100
    summary = json.loads((out / "summary.json").read_bytes())
    assert (summary["complete"], summary["records"]) == (False, 100)


def test_a_signal_during_a_giant_line_leaves_no_part_of_it(bundle, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("-", bundle, out), cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(LINES[0] + b"\n" + b"x" * 3_000_000)
    process.stdin.flush()
    wait_for(process, lambda: (out / "rejected.jsonl").exists() and (out / "rejected.jsonl").stat().st_size)
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_SECONDS) == 1
    process.communicate()
    assert (out / "rejected.jsonl").read_bytes() == b""
    assert json.loads((out / "summary.json").read_bytes())["records"] == 1


@pytest.mark.parametrize("samples", ["-", "fifo"])
def test_a_pipe_cannot_be_resumed(bundle, tmp_path, samples):
    if samples == "fifo":
        samples = tmp_path / "fifo"
        os.mkfifo(samples)
    done = depois(samples, bundle, tmp_path / "out", "--resume", stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "a pipe cannot be resumed" in done.stderr


def test_a_closed_standard_input_is_named(bundle, tmp_path):
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *command("-", bundle, tmp_path / "out")]
    done = ran(shell, text=True)
    assert done.returncode == 1
    assert "standard input is closed" in done.stderr


def test_a_full_disk_is_named_and_the_run_goes_on_when_there_is_room(samples, bundle, tmp_path):
    """On a small file system of its own, where this user may mount one."""
    mount = ["unshare", "--mount", "--map-root-user", "--", "sh", "-ec"]
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    tried = ["true"] if shutil.which("unshare") is None else [*mount, f"mount -t tmpfs -o size=64k none {small}"]
    if shutil.which("unshare") is None or subprocess.run(tried, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    script = f"""
        mount -t tmpfs -o size=200k none {small}
        ("$@" && echo ended 0) || echo ended $? >&2
        mount -o remount,size=64m {small}
        ("$@" --resume && echo ended 0) || echo ended $? >&2
        cp -r {small}/out {kept}
    """
    done = ran([*mount, script, "sh", *command(samples, bundle, small / "out")], text=True)
    assert done.returncode == 0, done.stderr
    first, second = (line for line in done.stderr.splitlines() if line.startswith("ended"))
    assert (first, second) == ("ended 1", "ended 3")
    assert "No space left on device" in done.stderr
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    depois(samples, bundle, tmp_path / "whole")
    assert outputs(kept) == outputs(tmp_path / "whole")


def test_a_limit_on_file_sizes_is_an_error_like_a_full_disk(samples, bundle, tmp_path):
    limited = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh", *command(samples, bundle, tmp_path / "out")]
    done = ran(limited, text=True)
    assert done.returncode == 1
    assert "clean.jsonl cannot be written: File too large" in done.stderr
    assert "--resume" in done.stderr
    assert depois(samples, bundle, tmp_path / "out", "--resume").returncode == 3
    depois(samples, bundle, tmp_path / "whole")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


@pytest.mark.parametrize("out", ["/proc/depois/out", "/dev/null/out"])
def test_an_output_that_cannot_be_made_is_named(samples, bundle, out):
    done = depois(samples, bundle, out)
    assert done.returncode == 1
    assert f"{out} cannot be made" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--mode", "maybe"], 2, "maybe"),
        (["--alpha", "7"], 2, "alpha"),
        (["--sha256", "0" * 64], 1, "bundle"),
        (["--label", "kind"], 2, "--label"),
        (["--strict", "--alpha", "0.0001"], 1, "extrapolated"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_written(samples, bundle, tmp_path, options, code, words):
    done = depois(samples, bundle, tmp_path / "out", *options)
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_is_not_there_is_named(samples, tmp_path):
    done = depois(samples, tmp_path / "nowhere", tmp_path / "out")
    assert done.returncode == 1
    assert "nowhere" in done.stderr


def test_a_reader_that_leaves_is_no_traceback(samples, bundle, tmp_path):
    shell = ["sh", "-c", '"$@" --json | true', "sh", *command(samples, bundle, tmp_path / "out")]
    done = ran(shell, text=True)
    assert done.stderr == ""


@pytest.mark.slow
def test_a_line_of_a_hundred_megabytes_takes_no_hundred_megabytes(bundle, tmp_path):
    samples = tmp_path / "giant.jsonl"
    with samples.open("wb") as file:
        file.write(LINES[0] + b"\n")
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + LINES[1] + b"\n")
    limited = ["sh", "-c", 'ulimit -d 1000000; exec "$@"', "sh", *command(samples, bundle, tmp_path / "out", "--json")]
    done = ran(limited, text=True)
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout)["records"] == 3
    assert json.loads(done.stdout)["reasons"]["too_large"] == 1
