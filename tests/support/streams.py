"""Streams of samples for tests: clean, mislabelled and malformed records, drawn from a seed."""

from __future__ import annotations

import numpy as np

from guard.sample import encode_samples
from guard.spec import ClassLabel, InputSpec
from tests.support.bundles import draw_samples

HOSTILE = {
    b"": "malformed_json",
    b"   ": "malformed_json",
    b"\r": "malformed_json",
    b"{": "malformed_json",
    b'{"source":"a","label":"pear","features":{"width"': "malformed_json",
    b"\x00\x00\x00\x00\x07\x02": "unsupported_framing",
    bytes(range(11, 256)): "malformed_json",
    b"\xef\xbb\xbf{}": "malformed_json",
    b'{"source":"\xff","label":"pear"}': "malformed_json",
    b"[" * 100_000: "malformed_json",
    b'{"a":' * 50_000: "malformed_json",
    b"null": "schema_violation",
    b"[]": "schema_violation",
    b'{"source":"a","source":"b","label":"pear","features":{}}': "malformed_json",
    b'{"source":"a","label":"pear","features":{"width":NaN}}': "non_finite",
    b'{"source":"a","label":"pear","features":{"height":Infinity}}': "non_finite",
    b'{"source":"a","label":"pear","features":{"height":1e999,"colour":"red","ripe":true}}': "non_finite",
    b'{"source":"a","label":"pear","features":{"height":'
    + b"9" * 5000
    + b',"colour":"red","ripe":true}}': "non_finite",
    b'{"source":"a","label":"pear","features":{"height":"1","colour":"red","ripe":true}}': "schema_violation",
    b'{"source":"a","label":"pear","features":{"height":1,"colour":"red"}}': "schema_violation",
    b'{"source":"a","label":"pear","features":{"height":1,"colour":"red","ripe":true,"new":1}}': "schema_violation",
    b'{"source":"a","label":"pear","features":{"height":1,"colour":"mauve","ripe":true}}': "unknown_category",
    b'{"source":"a","label":"pear","features":{"height":1000,"colour":"red","ripe":true}}': "out_of_range",
    b'{"source":"a","label":"pear"}': "schema_violation",
    b'{"label":"pear","features":{"height":1,"colour":"red","ripe":true}}': "schema_violation",
    b'{"source":"a","label":null,"features":{"height":1,"colour":"red","ripe":true}}': "schema_violation",
    b'{"source":"' + b"a" * (1 << 20) + b'"}': "too_large",
}
"""Records that the table bundle of the tests must reject, and why."""


def make_stream(spec: InputSpec, records: int, seed: int) -> list[bytes]:
    """Records of `spec` without line ends: about 10 % with another label, 2 % unknown label, 2 % hostile, 1 % blank."""
    rng = np.random.default_rng(seed)
    x, y = draw_samples(spec, records, seed)
    fate = rng.random(records)
    if isinstance(spec.label, ClassLabel):
        y = np.where(fate < 0.1, (y + 1) % len(spec.label.values), y)
    sources = [f"source {number}" for number in rng.integers(0, 7, records)]
    lines = encode_samples(spec, x, y, sources, ids=[f"s{number}" for number in range(records)])
    short = [record for record in HOSTILE if len(record) < 300]
    for at in np.flatnonzero(fate > 0.95).tolist():
        if fate[at] > 0.97:
            lines[at] = short[at % len(short)]
        else:
            lines[at] = lines[at].replace(b'"label":"', b'"label":"un')
    return lines
