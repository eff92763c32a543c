"""Making a snapshot costs a small multiple of merely reading the file."""

from __future__ import annotations

import csv
import time

import numpy as np
import pytest

from training.create import create_snapshot

pytestmark = pytest.mark.bench


def cpu(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def test_a_csv_file_of_eighty_columns(tmp_path):
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=(20_000, 79)).round(5), rng.integers(0, 5, 20_000)])
    path = tmp_path / "t.csv"
    np.savetxt(path, rows, "%g", ",", header=",".join(f"c{k}" for k in range(80)), comments="")

    def read():
        with path.open(newline="") as file:
            sum(len(row) for row in csv.reader(file))

    ratio = cpu(lambda: create_snapshot(path, "c79")) / cpu(read)
    assert ratio <= 10, ratio


def test_images_of_mnists_size(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (20_000, 28, 28), np.uint8) // 128 * 255
    np.savez_compressed(tmp_path / "t.npz", x=x, y=np.arange(20_000) % 10)
    ratio = cpu(lambda: create_snapshot(tmp_path / "t.npz")) / cpu(lambda: np.load(tmp_path / "t.npz")["x"])
    assert ratio <= 10, ratio
