"""How long does it take to try many settings: 256 that differ in numbers, 64 that differ in width, 5 folds each?

    CAVIAR_DATA=… python benchmarks/settings.py            # at most six minutes; writes docs/performance.md
    CAVIAR_DATA=… python benchmarks/settings.py --quick    # few settings and epochs, printed only

CAVIAR_DATA names the folder with sonar.csv. Numbers (rate, dropout, L2) share one program, and so do widths, as far as
filling narrow layers up is worth it; `populations` tells how many programs there were. What is trained stands in
table_contenders.py, how it is timed in studies.py.
"""

from studies import Loop, make_race, options, race_all

LOOPS = (Loop("jax", 15, 100),)
NUMBERS = "Sonar: 256 settings of learning rate, dropout and L2, 5 folds"
WIDTHS = 64


def main() -> None:
    """Race over both grids."""
    parser = options("Time caviar.fit and a Keras loop on grids of settings.", minutes=6)
    parser.add_argument(
        "--widths",
        type=int,
        default=WIDTHS,
        help="how many widths: a loop compiles each (default: %(default)s)",
    )
    asked = parser.parse_args()
    title = f"Sonar: {asked.widths} widths, 5 folds"
    races = [
        make_race("numbers", NUMBERS, LOOPS, quick=asked.quick),
        make_race("widths", title, LOOPS, quick=asked.quick, settings=asked.widths),
    ]
    race_all(races, "settings", asked)


if __name__ == "__main__":
    main()
