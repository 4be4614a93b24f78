"""How long do small studies of real tables take: three dropout recipes on sonar, mammography, rates on cardio?

    CAVIAR_DATA=… python benchmarks/tables_cv.py            # at most eight minutes; writes docs/performance.md
    CAVIAR_DATA=… python benchmarks/tables_cv.py --quick    # few epochs, printed only

CAVIAR_DATA names the folder with sonar.csv, mammography.csv and cardio_train.csv. What is trained stands in
table_contenders.py, how it is timed in studies.py.
"""

from studies import Loop, make_race, options, race_all

RACES = (
    (
        "sonar",
        "Sonar: no dropout, dropout on the visible layer, on the hidden layer, 10 folds",
        (Loop("jax", 6, 300), Loop("tensorflow", 6, 40)),
    ),
    (
        "mammography",
        "Mammography: 10 folds",
        (Loop("jax", 3, 30), Loop("tensorflow", 3, 6)),
    ),
    (
        "cardio",
        "Cardio: a fixed and a cyclical rate, 5 seeds each, a fifth of the rows watched",
        (Loop("jax", 4, 20), Loop("tensorflow", 4, 6)),
    ),
)


def main() -> None:
    """Race over the three tables."""
    asked = options("Time caviar.fit and Keras loops on three tables.", minutes=8).parse_args()
    races = [make_race(*race, quick=asked.quick) for race in RACES]
    race_all(races, "tables_cv", asked)


if __name__ == "__main__":
    main()
