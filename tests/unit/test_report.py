"""The report of a training job: whole, safe whatever the snapshot's names are, without links to anywhere."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from guard.calibration import Calibration, fuse
from guard.manifest import FORMAT_VERSION, Manifest
from guard.spec import CategoryColumn, ClassLabel, ImageInput, InputSpec, NumberColumn, NumberLabel, TableInput
from training.assemble import member_cards
from training.choose_augmenter import AugmenterChoice
from training.folds import plan_folds
from training.graph import ClassLabels
from training.learn import Learned
from training.members.member import FittedMember, Member, TrustedData
from training.preprocess import LabelScale, Preprocess
from training.presets import PRESETS
from training.progress import Silent
from training.quality import Quality
from training.report.figure import band_figure, curve_figure, histogram_figure, overlay_figure, picture, scatter_figure
from training.report.page import Story, render_report
from training.report.threshold import holding_score
from training.rows import Rows
from training.samples import Samples
from training.settings import JobSettings
from training.snapshot import Snapshot, snapshot_from_arrays
from training.worth import Worth

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> $x^{ {{ 7*7 }} \u202e"
_VOID = {"meta", "img", "br", "path", "use", "rect"}


class _Silent(nn.Module):
    def forward(self, z: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002 – every scorer takes the label
        return z.flatten(1).sum(1) * 0


def _table(rng: np.random.Generator) -> Snapshot:
    columns = (
        NumberColumn(name=HOSTILE, minimum=-9, maximum=9),
        NumberColumn(name="plain", minimum=-9, maximum=9),
        CategoryColumn(name="kind", values=(HOSTILE, "b")),
    )
    x = np.column_stack([rng.normal(size=(120, 2)), rng.integers(0, 2, 120)])
    spec = InputSpec(input=TableInput(columns=columns), label=ClassLabel(values=(HOSTILE, "other", "third")))
    return snapshot_from_arrays(x, np.arange(120) % 3, spec, {HOSTILE: HOSTILE})


def _images(rng: np.random.Generator) -> Snapshot:
    spec = InputSpec(input=ImageInput(height=9, width=7, channels=3), label=ClassLabel(values=(1, 2, 3)))
    return snapshot_from_arrays(rng.integers(0, 256, (60, 9, 7, 3), dtype=np.uint8), np.arange(60) % 3, spec)


def _regression(rng: np.random.Generator) -> Snapshot:
    spec = InputSpec(
        input=TableInput(columns=(NumberColumn(name="v", minimum=-9, maximum=9),)),
        label=NumberLabel(minimum=-9, maximum=9),
    )
    return snapshot_from_arrays(rng.normal(size=(45, 1)), rng.normal(size=45), spec)


def _learned(snapshot: Snapshot, rng: np.random.Generator) -> Learned:
    rows = len(snapshot.x)
    plan = plan_folds(snapshot, 3)
    preprocess = Preprocess.fit(snapshot.spec, snapshot.x, np.arange(rows))
    z = preprocess(torch.from_numpy(snapshot.x))
    classes = len(snapshot.spec.label.values) if isinstance(snapshot.spec.label, ClassLabel) else 0
    labels = ClassLabels(classes) if classes else LabelScale(snapshot.y)
    data = TrustedData(
        z=z,
        y=labels(torch.from_numpy(snapshot.y)),
        classes=classes,
        spec=snapshot.spec,
        plan=plan,
        preset=PRESETS["fast"],
        seed=0,
        device=torch.device("cpu"),
        progress=Silent(),
        augmenter="smote",
    )
    members = []
    for name, weight in (("loud", 1.0), ("quiet", 0.001)):
        said = (f"sees {name} things", f"all but {name} things")
        member = Member(name, *said, lambda *_: True, lambda _: None, lambda *_, weight=weight: weight)
        curves = {f"loss, fold {k}": [3.0, 2.0, 1.0 + k] for k in (1, 2)}
        members.append((member, FittedMember(_Silent(), rng.exponential(size=rows), curves)))
    losses = {"cgan": (0.4, 0.5), "mixup": (0.2, 0.3), "smote": (0.1, 0.2), "none": (0.3, 0.3)}
    return Learned(data, preprocess, labels, AugmenterChoice("smote", "log-loss", losses), tuple(members))


def _story(snapshot: Snapshot, alpha: float = 0.05) -> Story:
    rng = np.random.default_rng(1)
    learned = _learned(snapshot, rng)
    scores = np.stack([fitted.calibration for _, fitted in learned.members], axis=1)
    labels = snapshot.y if learned.data.classes else np.zeros(len(scores), np.int64)
    calibration = Calibration(scores, labels, np.array([1.0, 0.001]), np.zeros(3))
    fusion = fuse(calibration, alpha)
    worth = tuple(Worth("wrong label", name, 0.875, 0.625) for name in ("loud", "quiet", "fused"))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name="story",
        version="3",
        created="2026-11-21T00:00:00+00:00",
        spec=snapshot.spec,
        members=member_cards(learned),
        alpha=fusion.card,
        snapshot_digest=snapshot.digest,
        training={
            "held_out": False,
            "folds": 3,
            "calibration_rows": len(scores),
            "seconds": {"loud": 1.5},
            "torch": {"version": "2"},
        },
        metrics={},
        libraries={"numpy": "2"},
        files={},
    )
    rows = Rows(learned.data.z, learned.data.y, learned.data.classes)
    samples = Samples("smote", rows, rows, Quality(0.5, 1.5))
    settings = JobSettings(alpha, "fast", "cpu", 4, "auto", "story", "3", strict=True)
    return Story(manifest, settings, snapshot, learned, samples, calibration, fusion, worth)


class _Reader(HTMLParser):
    """Collects elements, attributes and text, and sees that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def _read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("make", [_table, _images, _regression], ids=["table", "images", "regression"])
def test_the_report_is_one_safe_file_that_says_it_all(make) -> None:
    html = render_report(_story(make(np.random.default_rng(0))))
    page = _read(html)
    assert "script" not in page.tags
    assert not [value for name, value in page.attributes if name.startswith("on")]
    links = [value for name, value in page.attributes if name in {"src", "href", "xlink:href", "action", "srcset"}]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)
    assert "http" not in html.replace("http-equiv", "")
    assert len(html) < 2 << 20
    for said in (
        "story:3",
        "sees loud things",
        "all but quiet things",
        "0.875",
        "62.5",
        "What this bundle will not catch",
    ):
        assert said in page.text
    assert "depois train SNAPSHOT --out BUNDLE --alpha 0.05 --preset fast --device cpu --seed 4" in page.text
    assert "--augmenter auto --name story --version 3 --strict" in page.text


def test_hostile_names_are_text() -> None:
    snapshot = _table(np.random.default_rng(0))
    html = render_report(_story(snapshot))
    assert HOSTILE not in html
    page = _read(html)
    assert page.text.count("alert(1)") >= 3  # class, provenance, marginal of the column
    assert page.text.count("{{ 7*7 }}") == page.text.count("alert(1)")


def test_every_picture_and_figure_has_a_text_for_those_who_cannot_see_it() -> None:
    html = render_report(_story(_images(np.random.default_rng(0))))
    assert re.findall(r"<img(?![^>]*\balt=\"[^\"]+\")", html) == []
    drawings = len(re.findall("<svg", html))
    assert drawings == len(re.findall(r"<figure[^>]* role=\"img\" aria-label=\"[^\"]+\">", html))


def test_an_extrapolated_alpha_is_said_loudly() -> None:
    html = render_report(_story(_regression(np.random.default_rng(0)), alpha=0.01))
    assert "α is extrapolated." in html
    assert "use --alpha 0.022 or add 54 trusted rows" in html


def test_an_augmenter_that_the_operator_chose_is_compared_with_nothing() -> None:
    story = _story(_table(np.random.default_rng(0)))
    html = render_report(replace(story, samples=None, learned=replace(story.learned, choice=None)))
    assert "The operator chose <b>smote</b>; nothing was compared." in html


@pytest.mark.parametrize("alpha", [0.02, 0.1])
def test_the_threshold_is_where_the_verdict_turns(alpha: float) -> None:
    rng = np.random.default_rng(5)
    scores = rng.normal(size=(200, 2))
    calibration = Calibration(scores, np.zeros(200, np.int64), np.ones(2), np.zeros(3))
    fusion = fuse(calibration, alpha)
    threshold = holding_score(calibration, fusion, 0)
    quiet = scores[:, 1].min()
    step = (scores[:, 0].max() - np.median(scores[:, 0])) / 500
    held = fusion.judge(np.array([[threshold, quiet], [threshold - step, quiet]]), np.zeros(2, np.int64)).held
    assert held.tolist() == [True, False]


def test_a_member_of_little_weight_cannot_hold_alone() -> None:
    scores = np.random.default_rng(6).exponential(size=(200, 2))
    calibration = Calibration(scores, np.zeros(200, np.int64), np.array([1.0, 1e-12]), np.zeros(3))
    assert holding_score(calibration, fuse(calibration, 0.01), 1) is None


@pytest.mark.parametrize("value", [0.0, 1.0, -1e30, 1e-30, 12345.678])
def test_constant_values_can_be_drawn(value: float) -> None:
    values = np.full(9, value)
    for drawing in (
        histogram_figure(values, None),
        overlay_figure(values, values),
        scatter_figure(np.full((9, 2), value), np.full((9, 2), value)),
        curve_figure({"loss": [value]}),
    ):
        assert drawing.startswith("<svg")
        assert "nan" not in drawing.lower()


def test_figures_take_their_colours_from_the_page() -> None:
    alphas = np.geomspace(0.001, 0.2, 9)
    drawing = band_figure(alphas, np.column_stack([alphas / 2, alphas * 2]), 0.01, 0.004)
    assert re.findall(r"#[0-9a-f]{6}\b", drawing) == []
    assert {"var(--accent)", "var(--alarm)", "var(--muted)"} <= set(re.findall(r"var\(--\w+\)", drawing))


def test_pictures_hold_the_pixels() -> None:
    images = np.random.default_rng(7).integers(0, 256, (2, 3, 5, 4, 3), dtype=np.uint8)
    data = base64.b64decode(picture(images).removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(pixels[6:11, 5:9], images[1, 1])
