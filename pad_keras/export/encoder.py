"""Functions of an exported encoder: checks of the input, and the encoder itself."""

import tensorflow as tf

from pad_keras.export.checks import require
from pad_keras.models.wav2vec2.convolutions import receptive_field


def encode_function(backbone):
    """Function of `(waveform, num_samples)` that checks its input and runs an encoder.

    Args:
        backbone: `Wav2Vec2Backbone`.

    Returns:
        `tf.function` that returns the backbone's outputs as a dict, floats in float32.
    """
    least = receptive_field(backbone.conv_kernels, backbone.conv_strides)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None), tf.float32, name="waveform"),
            tf.TensorSpec((None,), tf.int32, name="num_samples"),
        ],
        autograph=False,
    )
    def encode(waveform, num_samples):
        with tf.control_dependencies([_check(waveform, num_samples, least)]):
            is_real = tf.sequence_mask(num_samples, tf.shape(waveform)[1])
        # What lies in the padding, NaN or speech, must not matter.
        waveform = tf.where(is_real, waveform, 0.0)
        outputs = backbone({"waveform": waveform, "padding_mask": is_real}, training=False)
        return {
            name: tf.cast(value, tf.float32) if value.dtype.is_floating else value
            for name, value in outputs.items()
        }

    return encode


def encoder_signatures(encode):
    """Signatures of an encoder, and of what is below every head.

    Args:
        encode: function, as `encode_function` makes it.

    Returns:
        Dict of `tf.function` by signature name.
    """

    @tf.function(input_signature=encode.input_signature, autograph=False)
    def serve(waveform, num_samples):
        outputs = encode(waveform, num_samples)
        return {name: outputs[name] for name in ("sequence_output", "significance", "mask")}

    @tf.function(input_signature=encode.input_signature, autograph=False)
    def embed(waveform, num_samples):
        outputs = encode(waveform, num_samples)
        return {
            "embeddings": outputs["sequence_output"],
            "significance": outputs["significance"],
            "mask": outputs["mask"],
        }

    return {"serving_default": serve, "embed": embed}


def of_dict(serve):
    """A function of one dict: what `keras.layers.TFSMLayer` can call.

    Args:
        serve: `tf.function` of `(waveform, num_samples)`.

    Returns:
        `tf.function` of a dict of `waveform` and `num_samples`.
    """
    specs = {spec.name: spec for spec in serve.input_signature}

    @tf.function(input_signature=[specs], autograph=False)
    def serve_dict(inputs):
        return serve(**inputs)

    return serve_dict


def _check(waveform, num_samples, least):
    """Operation that fails if the input cannot be served."""
    batch, width = tf.shape(waveform)[0], tf.shape(waveform)[1]
    # Compared with the smaller of the two: broadcasting must not fail before the check does.
    fits = tf.equal(batch, tf.size(num_samples))
    is_real = tf.sequence_mask(num_samples, width)[:batch]
    numbers = tf.cond(
        fits, lambda: tf.where(is_real, waveform, 0.0), lambda: tf.zeros_like(waveform)
    )
    return require(
        (batch > 0, "The batch is empty."),
        (
            fits,
            tf.strings.format(
                "num_samples must hold one length an utterance, got {} for {} utterances.",
                (tf.size(num_samples), batch),
            ),
        ),
        (
            tf.reduce_all(num_samples >= least),
            tf.strings.format(
                f"Too short: an utterance needs {least} samples, got num_samples {{}}.",
                num_samples,
            ),
        ),
        (
            tf.reduce_all(num_samples <= width),
            tf.strings.format(
                "num_samples is greater than the width of the waveform, {}: got {}.",
                (width, num_samples),
            ),
        ),
        (tf.reduce_all(tf.math.is_finite(numbers)), "The waveform holds NaN or infinity."),
    )
