"""How long does it take to try many settings: 256 that differ in numbers, 64 that differ in width, 5 folds each?

    CAVIAR_DATA=… python benchmarks/settings.py            # at most six minutes; writes docs/performance.md
    CAVIAR_DATA=… python benchmarks/settings.py --quick    # few settings and epochs, printed only

CAVIAR_DATA names the folder with sonar.csv. Numbers (rate, dropout, L2) share one program; every width needs its own,
and `populations` tells how many there were. What is trained stands in table_contenders.py, how it is timed in
studies.py.
"""

from studies import Loop, make_race, options, race_all

LOOPS = (Loop("jax", 15, 100),)
RACES = (
    ("numbers", "Sonar: 256 settings of learning rate, dropout and L2, 5 folds"),
    ("widths", "Sonar: 64 widths, 5 folds"),
)


def main() -> None:
    """Race over both grids."""
    asked = options("Time caviar.fit and a Keras loop on grids of settings.", minutes=6)
    races = [make_race(*race, LOOPS, quick=asked.quick) for race in RACES]
    race_all(races, "settings", asked)


if __name__ == "__main__":
    main()
