"""What the page says around its tables."""

from __future__ import annotations

__all__ = ["BACKDOORS", "CRITIC", "DOUBTFUL", "HOW_TO_READ", "MIX", "RULE"]

HOW_TO_READ = """# The evaluation of De-Pois, measured

Written by `depois experiment report` from `results/*.json`; `depois experiment list` says what can be run, and
`make experiments` runs it all.

**How to read it.** Poison recall is the share of poisoned rows that a method holds. FQR is the false-quarantine rate,
the share of clean rows that it holds. At FQR 1 % and 5 % the threshold of every method is the one that so many
clean rows exceed of which it saw none. "Own" figures are a method's own verdict: ours at α = 1 %, De-Pois at
z = −1.96, baselines at their published settings. Accuracy, recall and F1 are in the paper's convention: **clean is
positive**, one clean row for every 0.2 poisoned ones. "Accept everything" scores accuracy .833, recall 1 and F1 .909
there. Poison is made from rows outside the trusted set and stands in the place of its originals; baselines are told the
true share of poison. Errors are those of the model that the attack was built for: trained on clean rows, on everything
that arrives, and on what the guard lets through; for targeted attacks, the share of targets that are read as the
attacker wants. The rate of poison is 20 % of |Sc| where nothing else is said. De-Pois is measured as published: cGAN
with authenticator, conditional WGAN-GP, 2000 steps each; our guard keeps the mimic as one member. Taught by the stream:
the guard also learned from the rows that arrive, poison among them, whose labels nobody looked at (`depois train
--unlabelled`); how it does so was developed on draws of Fourclass. The member that looks
behind JPEG was developed on the collisions and polytopes of CIFAR-10 at seed 0, and on no other row.
"""

RULE = """
A verdict follows from two numbers. **Reproduced**: they lie at most .05 apart (Fig. 8: .02), and have one sign where
the printed effect is larger than that. **Shape only**: farther apart, or seconds and distances that do not compare, but
of one sign. **Not reproduced**: another sign. **Cannot be, because …**: an obstacle that no run removes. **Missing**:
no result yet.
"""

MIX = """
Accuracy A, recall R and F1 together imply the mix of the rows, r = (A − 2R + 2R/F − 1)/(1 − A). The text says 0.2.
Where r is far from it, no experiment can have all three printed figures; digits are then not to be chased.
"""

CRITIC = "Printed for CIFAR-10: μ −.573, σ .211, y_thr −.986."

DOUBTFUL = """
Accuracy is that on clean rows that nobody trained on; success, the share of targets that are read as the attacker
wants; overhead, processor time over that of plain training in the same loop. All methods of one attack see the same
rows. Collisions are made for networks of which the last layer alone is trained ("last layer"), on features that were
learnt from clean rows.
"""

BACKDOORS = """
Accuracy on clean test rows / share of triggered test rows that are read as the attacker's class, rows of that class
left out. Clean part: trained on the rows that are not poison, which no defence knows. Fine-tuning, fine-pruning and
SCAn get clean rows besides, 5 % as many as there are in training. Overhead: mean processor time over that of the plain
training; what mends a trained network needs that training as well, and relabelling all of MeCa.
"""
