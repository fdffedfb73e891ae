"""What measures that are a ratio of two running sums share."""

import keras


class RatioMetric(keras.metrics.Metric):
    """A total over a count; 0 before the first utterance.

    Args:
        name: str.
        **kwargs: of `keras.metrics.Metric`.
    """

    def __init__(self, name, **kwargs):
        super().__init__(name=name, **kwargs)
        self.total = self.add_variable(shape=(), initializer="zeros", name="total")
        self.count = self.add_variable(shape=(), initializer="zeros", name="count")

    def result(self):
        """The ratio so far; 0 before the first utterance."""
        return keras.ops.divide_no_nan(self.total, self.count)
