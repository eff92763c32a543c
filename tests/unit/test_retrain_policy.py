from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from guard.errors import InputUnreadable, WrongUse
from training.retrain.policy import Policy, read_policy

DOCUMENT = Path(__file__).parents[2] / "docs/retraining.md"


def policy(folder: Path, text: str) -> Path:
    (folder / "policy.toml").write_text(text)
    return folder / "policy.toml"


def test_the_policy_in_the_documents_is_one_and_names_every_key(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    found = read_policy(policy(tmp_path, text))
    assert found.text == text.encode()
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    for name, section in Policy():
        assert name in text
        for key in type(section).model_fields if hasattr(type(section), "model_fields") else ():
            assert re.search(rf"^{key} = ", text, flags=re.MULTILINE), f"{name}.{key} is not in {DOCUMENT.name}"


def test_an_empty_policy_is_the_default_one(tmp_path: Path) -> None:
    assert read_policy(policy(tmp_path, "")).policy == Policy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[caps]\nper_sourze = 3", r"caps.per_sourze: there is no such key; known are new_share, per_source"),
        ("[cap]\nper_source = 3", r"cap: there is no such key; known are format_version, records"),
        ("[audit]\nlimit = 0.1", r"audit.limit: there is no such key; known are poison_share, confidence"),
        ("[caps]\nper_source = 0", "caps.per_source: Input should be greater than or equal to 1"),
        ("[caps]\nper_source = '3'", "caps.per_source: Input should be a valid integer"),
        ("[caps]\nnew_share = 1.0", "caps.new_share: Input should be less than 1"),
        ("[caps]\nclass_growth = inf", "caps.class_growth: Input should be a finite number"),
        ("[records]\nmax_age = '90 days'", "records.max_age: Value error, '90 days' is no duration"),
        ("[records]\naccused = 'perhaps'", "records.accused: Input should be 'take' or 'leave'"),
        ("[promotion]\nslowdown = 0.5", "promotion.slowdown"),
        ("format_version = 2", "format_version: Input should be 1"),
        ("[records", "is no TOML"),
        ("\udcff", "is no TOML"),
    ],
)
def test_what_cannot_be_meant_is_told_by_its_key(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "policy.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WrongUse, match=said):
        read_policy(tmp_path / "policy.toml")


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="name the file of a policy"):
        read_policy(tmp_path / "policy.toml")
