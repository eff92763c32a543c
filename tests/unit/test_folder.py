"""A folder appears whole or not at all."""

from __future__ import annotations

import pytest

from guard.errors import OutputFailed
from guard.folder import new_folder


def test_the_folder_appears_with_its_files_at_the_end(tmp_path):
    target = tmp_path / "deep" / "target"
    with new_folder(target) as draft:
        (draft / "a").write_text("1")
        assert not target.exists()
    assert [file.name for file in target.iterdir()] == ["a"]
    assert [folder.name for folder in target.parent.iterdir()] == ["target"]


def write_and_fail(target, error):
    with new_folder(target) as draft:
        (draft / "a").write_text("1")
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error):
        write_and_fail(tmp_path / "target", error)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_what_to_do(tmp_path):
    with (
        pytest.raises(OutputFailed, match=r"target cannot be written.*free the space"),
        new_folder(tmp_path / "target"),
    ):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_kept_unless_it_is_empty(tmp_path):
    (tmp_path / "empty").mkdir()
    with new_folder(tmp_path / "empty") as draft:
        (draft / "a").write_text("1")
    with pytest.raises(OutputFailed, match="exists already"), new_folder(tmp_path / "empty"):
        pytest.fail("the body must not run")
    assert (tmp_path / "empty" / "a").read_text() == "1"


def test_a_parent_that_is_a_file_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="cannot be created"), new_folder(tmp_path / "file" / "target"):
        pytest.fail("the body must not run")
