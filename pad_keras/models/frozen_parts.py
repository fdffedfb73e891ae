"""Models with parts that stay frozen."""

import keras


class FrozenParts:
    """Mixed into a `keras.Model`: parts that setting `trainable` of the whole does not thaw.

    Keras hands `trainable` down to every part. A part that gets no gradient must not become
    trainable thereby: weight decay would move it.
    """

    @property
    def trainable(self):
        """Whether it is trained: of all, if set, but for the parts that are frozen for good."""
        return keras.Model.trainable.fget(self)

    @trainable.setter
    def trainable(self, value):
        keras.Model.trainable.fset(self, value)
        for part in self.frozen_parts():
            part.trainable = False

    def frozen_parts(self):
        """The parts; none of those that Keras has not constructed yet.

        Returns:
            List of layers.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement frozen_parts.")
