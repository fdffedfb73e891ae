"""TensorBoard scalars of a run: losses, learning rate, gradient norm, throughput."""

import time
import warnings

import keras
import tensorflow as tf

from pad_keras.callbacks.model_state import optimizer_scalars

_NONFINITE = "nonfinite_gradients"


class TrainingSummary(keras.callbacks.Callback):
    """Writes scalars for TensorBoard, on every backend.

    Under `train/`: the loss and its parts, learning rate, gradient norm and number of gradients
    that were NaN or infinite (of a `MonitoredAdamW`), utterances and seconds of audio per second.
    Under `epoch/`: all logs of an epoch. An epoch that had such gradients ends with a warning.

    Args:
        log_dir: path.
        utterances_per_step: float, of a batch.
        seconds_per_step: float, mean seconds of audio of a batch.
        every: int, in steps; an epoch's last step is always written.

    Example:

    ```python
    summary = TrainingSummary("runs/a", utterances_per_step=8, seconds_per_step=24.0)
    distiller.fit(train, callbacks=[summary])
    ```
    """

    def __init__(self, log_dir, utterances_per_step, seconds_per_step, every=10):
        super().__init__()
        self.log_dir = str(log_dir)
        self.utterances_per_step = utterances_per_step
        self.seconds_per_step = seconds_per_step
        self.every = every
        self._writer = None

    def on_train_begin(self, logs=None):
        """Open the writer."""
        self._writer = tf.summary.create_file_writer(self.log_dir)
        self._nonfinite = optimizer_scalars(self.model).get(_NONFINITE, 0.0)

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock; the first steps' compilation counts as time, as it is."""
        # Not optimizer.iterations: with gradient accumulation that counts updates, not steps.
        self._first = self._step = epoch * (self.params.get("steps") or 0)
        self._start_clock()

    def on_train_batch_end(self, batch, logs=None):
        """Write scalars every few steps."""
        # With `steps_per_execution` this is called once for several steps, with the last.
        before, self._step = self._step, self._first + batch + 1
        self._steps_timed += self._step - before
        self._logs = logs or {}
        if self._step // self.every > before // self.every:
            self._write_step()

    def _write_step(self):
        seconds = time.perf_counter() - self._started
        rate = self._steps_timed / seconds
        values = {
            **self._logs,
            **optimizer_scalars(self.model),
            "utterances_per_second": rate * self.utterances_per_step,
            "audio_seconds_per_second": rate * self.seconds_per_step,
        }
        self._write("train", values, self._step)
        self._start_clock()

    def on_epoch_end(self, epoch, logs=None):
        """Write the steps since the last time, and the epoch's logs."""
        if self._steps_timed:
            self._write_step()
        self._write("epoch", logs or {}, epoch + 1)
        self._warn_of_nonfinite(epoch)
        self._writer.flush()

    def on_train_end(self, logs=None):
        """Close the writer."""
        self._writer.close()

    def _warn_of_nonfinite(self, epoch):
        before, self._nonfinite = (
            self._nonfinite,
            optimizer_scalars(self.model).get(_NONFINITE, 0.0),
        )
        if self._nonfinite > before:
            warnings.warn(
                f"Epoch {epoch + 1}: {self._nonfinite - before:.0f} steps had gradients that are "
                "NaN or infinite, which were left out. Lower the learning rate, or look at the "
                "data.",
                stacklevel=2,
            )

    def _start_clock(self):
        self._started, self._steps_timed = time.perf_counter(), 0

    def _write(self, group, values, step):
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(f"{group}/{name}", float(value))
