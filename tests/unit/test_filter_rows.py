from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from guard.decode import Decoder
from guard.errors import InputUnreadable, WrongUse
from guard.filter.csv_rows import CsvRows
from guard.filter.npz_rows import NpzRows
from guard.filter.parquet_rows import ParquetRows
from guard.filter.rows import Columns
from guard.rejection import Rejection
from guard.sample import encode_samples
from guard.spec import ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from guard.verdict import RejectReason
from tests.support.bundles import IMAGE, NUMBER, TABLE, draw_samples

COLUMNS = Columns("kind", None, "stream.csv")
HEADER = "kind,height,colour,ripe,width\n"
NUMBERS = InputSpec(
    input=TableInput(columns=tuple(NumberColumn(name=f"x{i}", minimum=-9, maximum=9, gaps=True) for i in range(3))),
    label=NumberLabel(minimum=-5, maximum=5),
)


def records(reader, start=0):
    return [record for window in reader.windows(start) for record in window.records]


def positions(reader):
    return [window.position for window in reader.windows(0)]


def csv_records(tmp_path, text, spec=TABLE, columns=COLUMNS):
    path = tmp_path / "stream.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return records(CsvRows(path, spec, columns))


def fate(record, spec=TABLE):
    """The reason for which the decoder rejects a record; its row and label where it does not."""
    decoded = Decoder(spec).decode([record])
    head = decoded.heads[0]
    return head.reason if isinstance(head, Rejection) else (decoded.x[0].tolist(), decoded.y[0].item())


def test_a_csv_row_is_the_sample_that_it_says_in_any_order_of_columns(tmp_path):
    [record] = csv_records(tmp_path, HEADER + "pear,1.5,green,True,-2\n")
    assert json.loads(record)["source"] == "stream.csv"
    assert fate(record) == ([-2, 1.5, 1, 1], 1)


def test_a_gap_is_null_and_a_column_that_may_have_gaps_may_be_left_out(tmp_path):
    header = "kind,height,colour,ripe\n"
    for text in (HEADER + "pear,1,red,false,NA\n", header + "pear,1,red,false\n", HEADER + "pear,1,red,false,\n"):
        [record] = csv_records(tmp_path, text)
        assert np.isnan(fate(record)[0][0])


def test_byte_order_mark_crlf_quotes_and_blank_lines(tmp_path):
    text = "\ufeff" + HEADER.replace("\n", "\r\n") + '"plum",1,"red",FALSE,2\r\n\r\nplum,1,red,FALSE,2'
    first, second = csv_records(tmp_path, text)
    assert first == second
    assert fate(first) == ([2, 1, 0, 0], 2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("pear,tall,red,true,1", RejectReason.SCHEMA_VIOLATION),
        ("pear,1_0,red,true,1", RejectReason.SCHEMA_VIOLATION),
        ("pear,NA,red,true,1", RejectReason.SCHEMA_VIOLATION),
        ("pear,inf,red,true,1", RejectReason.NON_FINITE),
        ("pear,-1e400,red,true,1", RejectReason.NON_FINITE),
        ("pear,101,red,true,1", RejectReason.OUT_OF_RANGE),
        ("pear,1,mauve,true,1", RejectReason.UNKNOWN_CATEGORY),
        ("pear,1,red,yes,1", RejectReason.SCHEMA_VIOLATION),
        ("pear,1,red,1,1", RejectReason.SCHEMA_VIOLATION),
        (",1,red,true,1", RejectReason.SCHEMA_VIOLATION),
        ("pear,1,red,true", RejectReason.SCHEMA_VIOLATION),
        ("pear,1,red,true,1,7", RejectReason.SCHEMA_VIOLATION),
        ("pear,1,r\x00d,true,1", RejectReason.UNKNOWN_CATEGORY),
        ('pear,1,"red,true,1' + "x" * 140_000, RejectReason.SCHEMA_VIOLATION),
    ],
)
def test_a_row_that_cannot_be_read_is_one_rejected_record(tmp_path, row, reason):
    found = csv_records(tmp_path, f"{HEADER}pear,1,red,true,1\n{row}\n")
    assert len(found) == 2
    assert fate(found[0]) == ([1, 1, 0, 1], 1)
    assert fate(found[1]) == reason


def test_a_row_of_another_length_says_so_in_its_rejection(tmp_path):
    [record] = csv_records(tmp_path, HEADER + "pear,1,red\n")
    detail = Decoder(TABLE).decode([record]).heads[0].detail
    assert "row of 3 cells under a header of 5" in detail


def test_bytes_that_are_no_utf_8_match_no_category(tmp_path):
    [record] = csv_records(tmp_path, HEADER.encode() + b"pear,1,r\xe9d,true,1\n")
    assert fate(record) == RejectReason.UNKNOWN_CATEGORY


def test_a_source_column_names_the_contributor(tmp_path):
    columns = Columns("kind", "who", "stream.csv")
    [record] = csv_records(tmp_path, "who," + HEADER + "ann,pear,1,red,true,1\n", columns=columns)
    assert json.loads(record)["source"] == "ann"


@pytest.mark.parametrize(
    ("label", "spec", "value"),
    [
        ("7", ClassLabel(values=(7, 8)), 7),
        ("7.0", ClassLabel(values=(7, 8)), 7),
        ("seven", ClassLabel(values=(7, 8)), "seven"),
        ("7", ClassLabel(values=("7", "8")), "7"),
        ("7", NumberLabel(minimum=0, maximum=9), 7.0),
        ("9" * 30, ClassLabel(values=(7, 8)), 1e30),
    ],
)
def test_a_label_reads_as_the_specification_has_it(tmp_path, label, spec, value):
    spec = InputSpec(input=TABLE.input, label=spec)
    [record] = csv_records(tmp_path, f"{HEADER}{label},1,red,true,1\n", spec)
    assert json.loads(record)["label"] == value


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("", COLUMNS, "is empty"),
        ('"' + "x" * 140_000, COLUMNS, "header line is not CSV"),
        ("kind,height,colour,width\n", COLUMNS, "no column 'ripe'"),
        (HEADER, Columns("label", None, "f"), "no column 'label'"),
        (HEADER, Columns("kind", "who", "f"), "no column 'who'"),
        ("extra," + HEADER, COLUMNS, "--drop 'extra'"),
        ("kind," + HEADER, COLUMNS, "stand twice"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, text, columns, words):
    with pytest.raises(InputUnreadable, match=words):
        csv_records(tmp_path, text, columns=columns)


def test_a_table_for_images_is_refused_and_the_label_cannot_be_dropped(tmp_path):
    with pytest.raises(InputUnreadable, match="judges images"):
        csv_records(tmp_path, HEADER, IMAGE)
    with pytest.raises(WrongUse, match="cannot be dropped"):
        csv_records(tmp_path, HEADER, columns=Columns("kind", None, "f", ("kind",)))


def test_a_dropped_column_is_left_out(tmp_path):
    columns = Columns("kind", None, "f", ("extra",))
    [record] = csv_records(tmp_path, "extra," + HEADER + "9,pear,1,red,true,1\n", columns=columns)
    assert fate(record) == ([1, 1, 0, 1], 1)


def test_any_position_of_a_csv_file_can_be_gone_on_from(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(HEADER + "".join(f"pear,{n % 90},red,true,1\n" for n in range(2500)))
    reader = CsvRows(path, TABLE, COLUMNS)
    assert positions(reader) == [1024, 2048, 2500]
    assert records(reader, 1024) == records(reader)[1024:]


def test_parquet_gives_the_samples_that_it_holds(tmp_path):
    path = tmp_path / "stream.parquet"
    x, y = draw_samples(TABLE, 3000, 3)
    table = {
        "ripe": x[:, 3] == 1,
        "colour": np.array(TABLE.input.columns[2].values)[x[:, 2].astype(int)],
        "width": pa.array(x[:, 0], from_pandas=True),
        "height": x[:, 1],
        "kind": np.array(TABLE.label.values)[y],
        "extra": np.arange(3000),
    }
    pa.parquet.write_table(pa.table(table), path, row_group_size=1500)
    reader = ParquetRows(path, TABLE, Columns("kind", None, "s", ("extra",)))
    assert reader.total == 3000
    assert positions(reader) == [1024, 1500, 2524, 3000]
    decoded = Decoder(TABLE).decode(records(reader))
    np.testing.assert_array_equal(decoded.x, x)
    np.testing.assert_array_equal(decoded.y, y)
    for start in (1024, 1500, 2524):
        assert records(reader, start) == records(reader)[start:]


def test_infinity_in_parquet_is_rejected_and_never_a_gap(tmp_path):
    path = tmp_path / "stream.parquet"
    table = {"x0": [float("inf"), float("nan")], "x1": [1, 2], "x2": [1.0, None], "y": [1, 2]}
    pa.parquet.write_table(pa.table(table), path)
    first, second = records(ParquetRows(path, NUMBERS, Columns("y", None, "s")))
    assert fate(first, NUMBERS) == RejectReason.NON_FINITE
    assert np.isnan(fate(second, NUMBERS)[0]).tolist() == [True, False, True]


def test_parquet_with_other_than_cells_or_damage_is_refused(tmp_path):
    path = tmp_path / "stream.parquet"
    table = pa.table({"x0": [[1.0]], "x1": [1.0], "x2": [1.0], "y": [1.0]})
    pa.parquet.write_table(table, path)
    with pytest.raises(InputUnreadable, match="column 'x0' holds list"):
        ParquetRows(path, NUMBERS, Columns("y", None, "s"))
    whole = path.read_bytes()
    for damaged in (b"", whole[:-20], whole[: len(whole) // 2], b"PAR1" + b"\xff" * 60 + b"PAR1"):
        path.write_bytes(damaged)
        with pytest.raises(InputUnreadable, match="not a sound Parquet file"):
            ParquetRows(path, NUMBERS, Columns("y", None, "s"))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_images_are_the_samples_that_it_holds(tmp_path, save):
    path = tmp_path / "stream.npz"
    x, y = draw_samples(IMAGE, 2500, 3)
    save(path, x=x[..., 0], y=y)
    reader = NpzRows(path, IMAGE, "stream.npz")
    assert reader.total == 2500
    assert records(reader) == encode_samples(IMAGE, x, y, ["stream.npz"] * 2500)
    assert records(reader, 1024) == records(reader)[1024:]


@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2"])
def test_npz_tables_are_numbers_with_gaps(tmp_path, dtype):
    path = tmp_path / "stream.npz"
    x = np.array([[1, 2, 3], [4, 5, 6]]).astype(dtype)
    if x.dtype.kind == "f":
        x[0, 1] = np.nan
    np.savez(path, x=x, y=np.array([[1.5], [2]]))
    found = records(NpzRows(path, NUMBERS, "s"))
    np.testing.assert_array_equal([fate(record, NUMBERS)[0] for record in found], x)
    assert [fate(record, NUMBERS)[1] for record in found] == [1.5, 2]


@pytest.mark.parametrize("y", [np.array(["apple", "plum"]), np.array([b"apple", b"plum"])])
def test_npz_labels_may_be_text(tmp_path, y):
    spec = InputSpec(input=NUMBERS.input, label=TABLE.label)
    np.savez(tmp_path / "s.npz", x=np.ones((2, 3)), y=y)
    assert [fate(record, spec)[1] for record in records(NpzRows(tmp_path / "s.npz", spec, "s"))] == [0, 2]


@pytest.mark.parametrize(
    ("arrays", "spec", "words"),
    [
        ({"x": np.ones((2, 3))}, NUMBERS, "0 arrays 'y'"),
        ({"x": np.ones((2, 4)), "y": np.ones(2)}, NUMBERS, r"numbers \(n, 3\)"),
        ({"x": np.ones((2, 3)), "y": np.ones(3)}, NUMBERS, "needs one label"),
        ({"x": np.ones((2, 3)), "y": np.array([1, None])}, NUMBERS, "never pickles"),
        ({"x": np.array([[1, 2, None]]), "y": np.ones(1)}, NUMBERS, "never pickles"),
        ({"x": np.ones((3, 2)).T, "y": np.ones(2)}, NUMBERS, "Fortran"),
        ({"x": np.float64(1), "y": np.ones(1)}, NUMBERS, "another number of bytes|says shape"),
        ({"x": np.ones((2, 4, 5)), "y": np.ones(2)}, IMAGE, "uint8"),
        ({"x": np.ones((2, 5, 4), np.uint8), "y": np.ones(2)}, IMAGE, "uint8"),
        ({"x": np.ones((2, 4)), "y": np.ones(2)}, NUMBER, "holds numbers only"),
    ],
)
def test_an_npz_file_that_does_not_fit_is_refused(tmp_path, arrays, spec, words):
    np.savez(tmp_path / "s.npz", allow_pickle=True, **arrays)
    with pytest.raises(InputUnreadable, match=words):
        records(NpzRows(tmp_path / "s.npz", spec, "s"))


def test_a_damaged_npz_file_is_refused(tmp_path):
    path = tmp_path / "s.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((5000, 3)), y=np.zeros(5000))
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[5000] ^= 0xFF
    for damaged in (b"", b"junk", whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(InputUnreadable, match="not a readable NPZ file"):
            records(NpzRows(path, NUMBERS, "s"))


def test_an_archive_that_claims_more_rows_than_it_has_is_refused_before_any_is_made(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12, 3)})
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())
    with pytest.raises(InputUnreadable, match="another number of bytes"):
        NpzRows(tmp_path / "bomb.npz", NUMBERS, "s")


def test_images_of_three_channels_keep_them(tmp_path):
    spec = InputSpec(input=ImageInput(height=2, width=3, channels=3), label=ClassLabel(values=(0, 1)))
    x = np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)
    np.savez(tmp_path / "s.npz", x=x, y=[0, 1])
    found = Decoder(spec).decode(records(NpzRows(tmp_path / "s.npz", spec, "s")))
    np.testing.assert_array_equal(found.x, x)
