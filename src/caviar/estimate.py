"""A value with its interval and the procedure that made it."""

from pydantic import BaseModel, ConfigDict


class Estimate(BaseModel):
    """A value, the interval around it, and how both came about.

    Attributes:
        value: The point estimate, in the unit of what is estimated.
        low: Lower end of the interval.
        high: Upper end of the interval.
        level: Coverage that the interval promises, 0 to 1.
        method: The procedure, in words a report can print.
        n: How many values it rests on.

    >>> Estimate(value=0.5, low=0.4, high=0.6, method="corrected resampled t", n=30).contains(0.45)
    True
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    value: float
    low: float
    high: float
    level: float = 0.95
    method: str
    n: int

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside the interval, ends included."""
        return self.low <= value <= self.high
