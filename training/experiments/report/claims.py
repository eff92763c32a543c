"""What the papers claim, one number each, and the rule by which a verdict is spoken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.experiments.report.evidence import Evidence, Measured
from training.experiments.report.printed import ATTACKS, METHODS, SHARES, TABLE_III, implied_mix

__all__ = ["CLAIMS", "Claim", "contradictions", "verdict"]

_ACCEPT_ALL = 1 / 1.2
_MIX = (0.1, 0.4)
_PGAN = "its three printed figures imply 1.8 poisoned rows for each clean one, and the text says 0.2"
_DOUBTFUL = ("mnist", "cifar10")
_TARGETED = (("mnist", "bullseye-polytope"), ("cifar10", "bullseye-polytope"), ("cifar10", "gradient-matching"))
"""Where EPIC is judged. Gradient matching reaches no target on MNIST at this size: there is nothing to lower."""

Measure = Callable[[Evidence], float | None]


@dataclass(frozen=True)
class Claim:
    """One claim as a number, whose sign is its shape.

    `printed`: None where only the direction is printed, which is then `sign`. `measure`: ours; None where a result is
    missing, and `needs` names the experiment that makes it. `tolerance`: how far both may lie apart. `comparable`:
    False for seconds and distances, of which only the direction can be reproduced. `obstacle`: why it cannot be.
    """

    item: str
    words: str
    printed: float | None
    measure: Measure
    needs: str
    tolerance: float = 0.05
    sign: int = 1
    comparable: bool = True
    obstacle: str = ""


def verdict(claim: Claim, measured: float | None) -> str:
    """The words for a claim.

    reproduced: at most `tolerance` apart, and no other sign where the printed effect is larger than that. shape only:
    farther apart, or not comparable, but of the printed sign. not reproduced: another sign, or none where one is
    printed. cannot be, because …: an obstacle that no run removes. missing: no result yet.
    """
    if claim.obstacle:
        return f"cannot be, because {claim.obstacle}"
    if measured is None:
        return f"missing: `depois experiment run {claim.needs}`"
    sign = claim.sign if claim.printed is None else claim.printed
    near = claim.comparable and claim.printed is not None and abs(measured - claim.printed) <= claim.tolerance
    if near and (sign * measured > 0 or abs(sign) <= claim.tolerance):
        return "reproduced"
    return "shape only" if sign * measured > 0 else "not reproduced"


def contradictions(attack: str, method: str) -> int:
    """In how many of the six printed cells accuracy, recall and F1 imply a mix outside 0.1 … 0.4; the text says 0.2."""
    cells = TABLE_III[attack, method]
    mixes = [implied_mix(*figures) for figures in zip(cells.accuracy, cells.recall, cells.f1, strict=True)]
    return sum(not _MIX[0] <= mix <= _MIX[1] for mix in mixes)


def _table_iii(attack: str) -> Claim:
    """De-Pois's mean accuracy over the shares that were measured, above what accepting everything scores."""
    stand = ATTACKS[attack]

    def measure(evidence: Evidence) -> float | None:
        cases = [case for share in SHARES if (case := evidence.at(stand.experiment, stand.attack, share)) is not None]
        accuracy = _mean([case.figure("depois", "paper_accuracy") for case in cases])
        return None if accuracy is None else accuracy - _ACCEPT_ALL

    printed = sum(TABLE_III[attack, "De-Pois"].accuracy) / len(SHARES) - _ACCEPT_ALL
    return Claim(
        f"Table III, {attack}",
        "mean accuracy of De-Pois, less the .833 of accepting everything",
        printed,
        measure,
        stand.experiment,
    )


def _against(attack: str, baseline: str, *, figure: str = "accuracy") -> Claim:
    """Figs 5 to 7 and Table III at 20 % trusted: De-Pois less a baseline, each by its own verdict."""
    stand = ATTACKS[attack]
    column = SHARES.index(0.20)
    ours, theirs = (getattr(TABLE_III[attack, name], figure)[column] for name in ("De-Pois", baseline))

    def measure(evidence: Evidence) -> float | None:
        case = evidence.at(stand.experiment, stand.attack, 0.20)
        return _difference(case, "depois", METHODS[baseline], f"paper_{figure}")

    words = f"{figure} of De-Pois less that of {baseline}, {attack}, 20 % trusted"
    return Claim(f"Figs 5–7 and Table III, {attack}", words, ours - theirs, measure, stand.experiment)


def _difference(case: Measured | None, one: str, other: str, figure: str) -> float | None:
    found = (case.figure(one, figure), case.figure(other, figure)) if case else (None, None)
    return None if found[0] is None or found[1] is None else found[0] - found[1]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _between_variants(one: str, other: str) -> Measure:
    return lambda evidence: _mean(
        [_difference(case, one, other, "paper_accuracy") for case in evidence.cases("components")]
    )


def _synthetic_or_real(data: str) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        cases = [case for case in evidence.cases("components") if case.ground["data"] == data]
        pair = "depois:cgan+authenticator/cwgan-gp", "depois:real/cwgan-gp"
        return _mean([_difference(case, *pair, "paper_accuracy") for case in cases])

    words = f"{data}: accuracy of De-Pois on augmented rows less that on as many real ones (“quite close”)"
    return Claim("Fig. 4", words, 0.0, measure, "components")


def _likeness(data: str, figure: str, printed: float) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        cases = [case for case in evidence.cases("components") if case.ground["data"] == data]
        found = [case.summary.get("likeness", {}) for case in cases]
        return _mean([one["cgan"][figure]["mean"] - one["cgan+authenticator"][figure]["mean"] for one in found if one])

    words = f"{data}: mean {figure} distance of cGAN less that of cGAN with authenticator"
    return Claim("Table II", words, printed, measure, "components", comparable=False)


def _boundary(evidence: Evidence) -> float | None:
    case = evidence.at(ATTACKS["TCL"].experiment, ATTACKS["TCL"].attack, 0.20)
    held = (case.figure("depois", "recall"), case.figure("depois", "fqr")) if case else (None, None)
    return None if held[0] is None or held[1] is None else held[0] - held[1]


def _gradient_poison(figure: str, printed: float) -> Claim:
    """The mean over the poison rates."""

    def measure(evidence: Evidence) -> float | None:
        cases = [case for case in evidence.table("mnist", "direct-gradient") if case.ground["trusted"] == 0.20]
        return _mean([_difference(case, "depois", "centroid", f"paper_{figure}") for case in cases])

    return Claim("Fig. 9", f"{figure} of De-Pois less that of CD, GP on MNIST, mean over Rp", printed, measure, "mnist")


def _few_rows(experiment: str, attack: str) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        few, more = (evidence.at(experiment, attack, share) for share in (0.005, 0.05))
        ends = [case.figure("depois", "paper_accuracy") if case else None for case in (few, more)]
        return None if ends[0] is None or ends[1] is None else ends[0] - ends[1]

    return Claim(
        "Fig. 10", f"{experiment}: accuracy of De-Pois at .5 % trusted less that at 5 %", -0.20, measure, experiment
    )


def _dirty(evidence: Evidence) -> float | None:
    falls = []
    for case in evidence.cases("trusted-poison"):
        clean = [
            one for one in evidence.table("trusted-poison", case.attack) if one.ground["data"] == case.ground["data"]
        ]
        if case.ground["dirty"] and clean:
            now, before = case.figure("depois", "paper_accuracy"), clean[0].figure("depois", "paper_accuracy")
            falls += [] if now is None or before is None else [now - before]
    return _mean(falls)


def _known(evidence: Evidence) -> float | None:
    by_known = {
        case.ground["known"]: case.figure("depois", "paper_accuracy") for case in evidence.cases("known-classes")
    }
    few, all_known = by_known.get(5), by_known.get(None)
    return None if few is None or all_known is None else few - all_known


def _seconds(data: str, baseline: str, printed: float) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        ours, theirs = (evidence.number("method-speed", data, method) for method in ("depois", METHODS[baseline]))
        return None if ours is None or theirs is None else ours - theirs

    words = f"{data}: seconds per 1000 samples of De-Pois less those of {baseline}"
    return Claim("Table IV", words, printed, measure, "method-speed", comparable=False)


def _training(data: str, printed: float) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        mimic, augment = (evidence.number("published-time", data, f"{part}_seconds") for part in ("mimic", "augment"))
        return None if mimic is None or augment is None else mimic - augment

    words = f"{data}: seconds to train the mimic less those to train the augmenter"
    return Claim("Table V", words, printed, measure, "published-time", comparable=False)


def _less_success(paper: str, method: str, data: str, attack: str) -> Claim:
    """By how much a method lowers the share of targets that are read as the attacker wants."""

    def measure(evidence: Evidence) -> float | None:
        plain, trained = (evidence.doubtful(data, attack, one, "success") for one in ("plain", method))
        return None if plain is None or trained is None else plain - trained

    return Claim(paper, f"{data}, {attack}: success without less that with {method}", None, measure, "cleansing")


def _isolated(data: str, attack: str) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        poison, clean = (evidence.doubtful(data, attack, "epic", f"{one}_left_out") for one in ("poison", "clean"))
        return None if poison is None or clean is None else poison - clean

    return Claim(
        "EPIC", f"{data}, {attack}: share of poison that is dropped less that of clean rows", None, measure, "cleansing"
    )


def _same_accuracy(data: str) -> Claim:
    def measure(evidence: Evidence) -> float | None:
        plain, trained = (evidence.doubtful(data, None, one, "accuracy") for one in ("plain", "epic"))
        return None if plain is None or trained is None else trained - plain

    words = f"{data}, no poison: accuracy with epic less that without (“similar”)"
    return Claim("EPIC", words, 0.0, measure, "cleansing")


def _after(method: str, figure: str, printed: float, *, attacked: bool = True) -> Claim:
    """What a network has after a defence, less what an undefended one has: of the same rows, or without any poison."""
    success = figure == "success"

    def measure(evidence: Evidence) -> float | None:
        before = evidence.after("none", figure, attacked=success)
        found = evidence.after(method, figure, attacked=attacked)
        return None if before is None or found is None else found - before

    where = "8 attacks" if attacked else "no poison"
    than = "without a defence" if success else "without poison or a defence"
    words = f"mean {figure}, {where}: with {method} less that {than}"
    return Claim("MeCa, Tables II to V", words, printed, measure, "backdoors")


def _impossible(item: str, words: str, obstacle: str) -> Claim:
    return Claim(item, words, None, lambda _evidence: None, "", obstacle=obstacle)


CLAIMS: tuple[Claim, ...] = (
    _impossible(
        "Table II",
        "IS and FID on CIFAR-10",
        "Inception's weights are not at hand; at the paper's scale `components` has a stand-in",
    ),
    _likeness("fourclass", "wasserstein", 0.89 - 0.61),
    _likeness("fourclass", "euclidean", 91.65 - 87.97),
    _likeness("house", "wasserstein", 2.20 - 1.98),
    _likeness("house", "euclidean", 7.93 - 7.84),
    Claim(
        "Fig. 3",
        "share of TCL's poison below y_thr less that of clean rows; printed: by Table III at 20 % trusted",
        0.462,
        _boundary,
        "cifar10",
    ),
    _synthetic_or_real("fourclass"),
    _synthetic_or_real("house"),
    *(_table_iii(attack) for attack in ATTACKS),
    _against("TCL", "Deep-kNN"),
    _against("pGAN", "CD"),
    _against("LF", "CD"),
    _against("LF", "DUTI"),
    _against("LF", "Sever"),
    _against("R", "TRIM"),
    _against("R", "DUTI"),
    _against("R", "Sever"),
    Claim(
        "Fig. 8",
        "accuracy that the authenticator adds, mean over the data sets (“at least .03”)",
        0.03,
        _between_variants("depois:cgan+authenticator/cwgan-gp", "depois:cgan/cwgan-gp"),
        "components",
        tolerance=0.02,
    ),
    Claim(
        "Fig. 8",
        "accuracy that the cWGAN-GP adds to a GAN, mean over the data sets (“at least .05”)",
        0.05,
        _between_variants("depois:cgan+authenticator/cwgan-gp", "depois:cgan+authenticator/gan"),
        "components",
        tolerance=0.02,
    ),
    _gradient_poison("accuracy", 0.13),
    _gradient_poison("f1", 0.10),
    _impossible("Figs 5b, 6b and 7b, Table III, pGAN", "accuracy, recall and F1 together", _PGAN),
    _few_rows("fourclass", "adversarial-flip"),
    _few_rows("house", "statistical"),
    Claim("Fig. 11", "accuracy of De-Pois with poison in St less that without", -0.10, _dirty, "trusted-poison"),
    _impossible("Fig. 12", "CIFAR-100 beside CIFAR-10", "CIFAR-100 is not among the data"),
    Claim(
        "Fig. 13",
        "accuracy of De-Pois when 5 of 10 classes are known less that for all; printed on CIFAR-10, measured on MNIST",
        None,
        _known,
        "known-classes",
        sign=-1,
    ),
    _seconds("fourclass", "DUTI", 0.306 - 0.069),
    _seconds("house", "TRIM", 0.068 - 0.007),
    _seconds("mnist", "CD", 0.108 - 0.05),
    _training("fourclass", 30.75 - 27.1),
    _training("house", 179.5 - 32.3),
    _training("mnist", 654 - 544),
    _impossible(
        "MNIST reimplementation",
        "its printed figures",
        "its code overwrites the poison with a ramp of pixel values before it is judged",
    ),
    *(_less_success("EPIC", "epic", data, attack) for data, attack in _TARGETED),
    *(_isolated(data, attack) for data, attack in _TARGETED),
    *(_same_accuracy(data) for data in _DOUBTFUL),
    *(_less_success("LGM", "lgm", data, "feature-collision") for data in _DOUBTFUL),
    _after("meca", "success", 0.0033 - 0.7445),
    _after("meca-relabelled", "success", 0.0003 - 0.7445),
    _after("meca", "accuracy", 0.8429 - 0.8786),
    _after("meca-relabelled", "accuracy", 0.8665 - 0.8786),
    _after("meca", "accuracy", 0.8604 - 0.8786, attacked=False),
)
"""In the order of the papers."""
