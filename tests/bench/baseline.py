"""What the filter is compared with: the least that any program must do with the same samples and the same graph.

`python -m tests.bench.baseline arrays MODEL X.npy Y.npy`: bare ONNX Runtime over arrays.
`python -m tests.bench.baseline rows MODEL LINES`: msgspec's typed decoding of JSON lines, then ONNX Runtime.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime as ort

_BATCH_IMAGES = 256
_BATCH_ROWS = 512
"""Where ONNX Runtime is fastest with the bundles of `tests.bench.models`."""


def main() -> None:
    kind, model, *files = sys.argv[1:]
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    {"arrays": score_arrays, "rows": score_rows}[kind](session, *files)


def score_arrays(session: ort.InferenceSession, x_path: str, y_path: str) -> None:
    x, y = np.load(x_path, mmap_mode="r"), np.load(y_path)
    for first in range(0, len(x), _BATCH_IMAGES):
        session.run(
            ["scores", "suggestion"], {"x": x[first : first + _BATCH_IMAGES], "y": y[first : first + _BATCH_IMAGES]}
        )


def score_rows(session: ort.InferenceSession, path: str) -> None:
    from tests.bench.scorer import read_rows

    with open(path, "rb") as file:  # noqa: PTH123
        while lines := file.readlines(1 << 17):
            for first in range(0, len(lines), _BATCH_ROWS):
                x, y = read_rows(lines[first : first + _BATCH_ROWS])
                session.run(["scores", "suggestion"], {"x": x, "y": y})


if __name__ == "__main__":
    main()
