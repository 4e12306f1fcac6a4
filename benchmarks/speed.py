"""How long a fit and a picture take with one setting beside another, in turns, on a folder of good pictures.

    python benchmarks/speed.py GOOD_DIR [--settings "default;default before"] [--pictures 48] [--rounds 3]

The names of settings are those of `regret.py`. Of the pictures `--pictures` are learned from and up to 12 further ones are judged,
read from their files. Printed are medians, and the median over rounds of each time over that of the setting named last.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from regret import SETTINGS
from timing import comparison, in_turns, machine

from flawsight.fitting import Plan, fit, good_pictures

JUDGED = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("good_dir", type=Path)
    parser.add_argument("--settings", default="default;default before")
    parser.add_argument("--pictures", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    names = chosen.settings.split(";")
    if unknown := [name for name in names if name not in SETTINGS]:
        parser.error(f"there is no setting '{unknown[0]}'; there are: {'; '.join(SETTINGS)}")
    pictures = good_pictures(chosen.good_dir)
    learned, judged = pictures[: chosen.pictures], pictures[chosen.pictures :][:JUDGED] or pictures[:JUDGED]
    plans = {name: Plan(**SETTINGS[name]) for name in names}
    fits = in_turns({name: partial(fit, learned, plan) for name, plan in plans.items()}, chosen.rounds)
    models = {name: fit(learned, plan) for name, plan in plans.items()}
    print(f"{machine('numpy', 'onnxruntime')}\n\nA fit on {len(learned)} pictures:\n\n{comparison(fits, names[-1], 1, 's')}\n")
    scored = in_turns(
        {name: partial(lambda model: [model.predict(one) for one in judged], model) for name, model in models.items()},
        3 * chosen.rounds,
    )
    print(f"A picture, read and judged:\n\n{comparison(scored, names[-1], 1000 / len(judged))}")


if __name__ == "__main__":
    main()
