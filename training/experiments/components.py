"""De-Pois taken apart: Fig. 8 (augmenter and mimic), Fig. 4 (synthetic or real rows) and Table II (likeness)."""

from __future__ import annotations

from training.experiments.compare import run_settings
from training.experiments.experiment import Case, Experiment, Scale
from training.experiments.setting import DEVICES, Ground, Setting, as_cases
from training.experiments.summary import mean_and_spread
from training.experiments.variants import variant_name

__all__ = ["COMPONENTS"]

_VARIANTS = tuple(
    variant_name(augmenter, mimic) for augmenter in ("cgan", "cgan+authenticator") for mimic in ("gan", "cwgan-gp")
)
_REAL = variant_name("real", "cwgan-gp")
_OTHERS = {
    "small": (),
    "paper": tuple(variant_name(augmenter, "cwgan-gp") for augmenter in ("smote", "mixup", "none")),
}


def _cases(scale: Scale) -> tuple[Case, ...]:
    mnist = Ground(data="mnist", trusted=0.20, device=DEVICES[scale])
    attacked = {
        "adversarial-flip": Ground(data="fourclass", trusted=0.20),
        "statistical": Ground(data="house", trusted=0.20),
    } | ({"projected-gradient": mnist} if scale == "paper" else {})
    methods = (*_VARIANTS, _REAL, *_OTHERS[scale])
    return as_cases(
        Setting(ground=ground, attack=attack, methods=methods, damage=False, likeness=True)
        for attack, ground in attacked.items()
    )


COMPONENTS = Experiment(
    name="components",
    figure="De-Pois taken apart: cGAN with and without authenticator, GAN or cWGAN-GP, synthetic or real rows",
    cases=_cases,
    seeds={"small": 2, "paper": 5},
    run=run_settings,
    summarise=mean_and_spread,
)
"""|S_aug| = |Sc|, so that real rows are as many as augmented ones."""
