from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from guard.errors import OutputFailed
from guard.manifest import Alpha, Manifest, MemberCard
from guard.spec import ClassLabel, InputSpec, NumberColumn, TableInput
from guard.verdict import Status
from tests.unit.test_demo_measure import DIGITS, FLIP, SCENARIO, STREAM, VERDICTS, said
from training.datasets import Dataset
from training.demo.measure import join_truth, measure
from training.demo.pictures import image_uri, scatter
from training.demo.report import render_report, write_report
from training.demo.run import Demo, Settings
from training.demo.scenario import Entry, Scenario


def manifest(spec: InputSpec) -> Manifest:
    return Manifest(
        format_version=1,
        name="demo",
        version="1",
        created="2026-01-01T00:00:00+00:00",
        spec=spec,
        members=(MemberCard(name="nll", description="d", weight=1, blind_to="b"),),
        alpha=Alpha(value=0.01, band=(0.002, 0.03), extrapolated=True, calibration_rows=61),
        snapshot_digest="0" * 64,
        training={},
        metrics={},
        libraries={},
        files={},
    )


def demo_of(scenario: Scenario, out: Path = Path("unused")) -> Demo:
    told = join_truth(scenario.stream, VERDICTS)
    return Demo(
        Settings("digits", out, seed=7),
        scenario,
        manifest(scenario.dataset.spec),
        "f" * 64,
        told,
        measure(scenario, told),
        {"train": 1.25},
    )


class Tags(HTMLParser):
    """Every tag with its attributes; fails on tags that are closed in the wrong order."""

    void = frozenset({"meta", "img", "br", "circle"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.void:
            assert self.open.pop() == tag


def test_one_file_without_outside_links_or_scripts() -> None:
    html = render_report(demo_of(SCENARIO))
    tags = Tags(html).seen
    links = [value for _, attrs in tags for key, value in attrs.items() if key in {"src", "href", "xlink:href"}]
    assert links
    assert all(link is not None and link.startswith("data:image/png;base64,") for link in links)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    assert "url(" not in html
    assert "prefers-color-scheme: dark" in html


def test_it_says_what_was_counted() -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", render_report(demo_of(SCENARIO))))
    assert "66.7 % of random-flip held 2 of 3" in text
    assert "33.3 % of honest samples held 1 of 3; asked for 1.0 %" in text
    assert "0.20–3.00 % (5 % to 95 % band, 61 calibration rows, extrapolated)" in text
    assert "depois demo --data digits --seed 7 --preset fast" in text
    assert "f" * 64 in text


def test_held_missed_and_false_alarms_each_have_their_pictures() -> None:
    html = render_report(demo_of(SCENARIO))
    assert html.count('class="card caught"') == 2
    assert html.count('class="card missed"') == 1
    assert html.count('class="card alarm"') == 1


def test_names_from_the_stream_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    stream = (replace(STREAM[0], source=evil), *STREAM[1:])
    scenario = replace(SCENARIO, stream=stream)
    verdict = msgspec.structs.replace(said(1, Status.QUARANTINED, "suspect"), detail=evil, member=evil)
    told = join_truth(stream, [verdict, *VERDICTS])
    html = render_report(replace(demo_of(scenario), told=told))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_picture_is_the_image() -> None:
    data = base64.b64decode(image_uri(DIGITS.x[3]).partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), DIGITS.x[3, ..., 0])


def plane() -> Scenario:
    columns = tuple(NumberColumn(name=name, minimum=-1, maximum=1) for name in ("a", "b"))
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=(-1, 1)))
    x = np.array([[-1.0, -1.0], [1.0, 1.0]])
    stream = tuple(Entry(b"{}", e.source, e.kind, x[0], 1, 0) for e in STREAM[:6])
    return Scenario(Dataset("fourclass", x, np.array([0, 1]), spec), x, np.array([0, 1]), stream, (), SCENARIO.attacks)


def test_two_columns_are_drawn_as_points() -> None:
    scenario = plane()
    told = join_truth(scenario.stream, VERDICTS)
    dots = scatter((scenario.x, scenario.y), told, scenario.dataset.spec)
    assert [(dot.x, dot.y) for dot in dots[:2]] == [(16, 544), (544, 16)]
    kinds = [dot.kind for dot in dots]
    assert kinds == ["trusted", "trusted", "passed", "passed", "caught", "caught", "alarm", "missed"]
    html = render_report(demo_of(scenario))
    assert html.count("<circle") == len(dots)
    assert "<img" not in html
    Tags(html)


def test_images_and_wide_tables_are_not_drawn_as_points() -> None:
    assert scatter((SCENARIO.x, SCENARIO.y), [], DIGITS.spec) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match=r"report\.html cannot be written"):
        write_report(demo_of(SCENARIO, tmp_path / "file"))
    assert write_report(demo_of(SCENARIO, tmp_path)).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_flip_is_named() -> None:
    assert FLIP in render_report(demo_of(SCENARIO))
