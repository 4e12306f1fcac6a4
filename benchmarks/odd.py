"""How often clean scores are taken for odd, how often a defective one is found, and whether the default promise still holds.

    python benchmarks/odd.py [--draws 2000]

Draws scores of good pictures from several laws, 10 to 300 at a time. Odd: draws in which any score is set aside. Found: draws in
which the highest score, made 1.5, 2 or 3 times the second highest, is set aside. Broken: draws whose default threshold is exceeded
by a larger share of the law than promised with 95 % confidence. Prints Markdown tables, in per cent of the draws.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from scipy import stats
from timing import machine, table

from flawsight.threshold import choose, odd
from flawsight.types import Float

NUMBERS = (10, 15, 20, 25, 40, 80, 150, 300)
TIMES = (1.5, 2, 3)
LAWS = {
    "normal, mean 1, spread 0.1": stats.norm(1, 0.1),
    "log-normal, spread 0.2": stats.lognorm(0.2),
    "log-normal, spread 1": stats.lognorm(1),
    "exponential": stats.expon(),
    "exponential from 1, mean 1.1": stats.expon(1, 0.1),
    "Student's t (4), about 1, scale 0.1": stats.t(4, 1, 0.1),
    "Student's t (4), about 0": stats.t(4),
}
Law = stats.distributions.rv_frozen


def draws(law: Law, n: int, how_many: int) -> list[Float]:
    """So many draws of n scores, the highest last."""
    drawn = law.rvs((how_many, n), random_state=np.random.default_rng(n)).astype(np.float32)
    return list(np.sort(drawn, 1))


def any_odd(law: Law, n: int, how_many: int) -> str:
    """Of clean scores."""
    return percent([bool(odd(one).any()) for one in draws(law, n, how_many)])


def broken(law: Law, n: int, how_many: int) -> str:
    """Of default promises."""
    chosen = [choose(one) for one in draws(law, n, how_many)]
    return percent([law.sf(one.value) > one.max_false_rejects for one in chosen])


def found(law: Law, n: int, how_many: int) -> str:
    """Of defective scores, for each of TIMES."""
    hits = []
    for times in TIMES:
        made = [np.append(one[:-1], times * one[-2]) for one in draws(law, n, how_many)]
        hits.append(percent([bool(odd(one)[-1]) for one in made], 0))
    return ", ".join(hits)


def percent(hits: list[bool], digits: int = 1) -> str:
    return f"{100 * np.mean(hits):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000)
    chosen = parser.parse_args()
    print(machine("numpy", "scipy"))
    measures: dict[str, Callable[[Law, int, int], str]] = {"odd": any_odd, "broken": broken, "found": found}
    for name, measure in measures.items():
        rows = [
            (law, *(measure(of, n, chosen.draws) for n in NUMBERS))
            for law, of in LAWS.items()
            if name != "found" or of.ppf(0.25) > 0
        ]
        print(f"\n{table((name, *map(str, NUMBERS)), rows)}", flush=True)


if __name__ == "__main__":
    main()
