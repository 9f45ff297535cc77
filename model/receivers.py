"""What a request may carry, and how it becomes the images that the network sees.

Three signatures lead into one graph, each the default of the next; the fourth asks about the model itself:

    image_bytes --decode, stretch, round--> images_uint8 --cast--> images --> features
    query --> features
"""

from __future__ import annotations

import tensorflow as tf

from seamline_client.contract import BYTES, DEFAULT, DESCRIBE, IMAGE_SIDE, MAX_PIXELS, UINT8, Signature

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = 24
_SHAPE = DEFAULT.input.shape[1:]
MAX_QUERIES = 256
"""A question of two bytes is answered by thousands: more at once would fill the server's memory."""


def raw_serving_input_fn() -> tf.estimator.export.ServingInputReceiver:
    """The `serving_input_receiver_fn` for `Estimator.export_savedmodel`.

    The default signature takes pixels; the others are `receiver_tensors_alternatives` of the same graph.
    """
    image_bytes = tf.compat.v1.placeholder(tf.string, [None], name=_node(BYTES))
    images_uint8 = tf.compat.v1.placeholder_with_default(decode_batch(image_bytes), (None, *_SHAPE), name=_node(UINT8))
    # A placeholder's shape does not stop a server from feeding another one; ensure_shape does.
    pixels = tf.cast(tf.ensure_shape(images_uint8, (None, *_SHAPE)), tf.float32)
    images = tf.compat.v1.placeholder_with_default(pixels, (None, *_SHAPE), name=_node(DEFAULT))
    query = tf.compat.v1.placeholder(tf.string, [None], name=_node(DESCRIBE))
    few = tf.debugging.Assert(tf.size(query) <= MAX_QUERIES, ["At most", MAX_QUERIES, "strings are answered at once."])
    with tf.control_dependencies([few]):
        queries = tf.identity(query)
    return tf.compat.v1.estimator.export.ServingInputReceiver(
        features={"images": tf.ensure_shape(images, (None, *_SHAPE)), "query": queries},
        receiver_tensors={DEFAULT.input.name: images},
        receiver_tensors_alternatives={
            UINT8.key: {UINT8.input.name: images_uint8},
            BYTES.key: {BYTES.input.name: image_bytes},
            DESCRIBE.key: {DESCRIBE.input.name: query},
        },
    )


def _node(signature: Signature) -> str:
    return signature.tensor.split(":")[0]


def decode_batch(image_bytes: tf.Tensor) -> tf.Tensor:
    """(N,) JPEG or PNG files -> (N, 384, 384, 3) uint8."""
    return tf.map_fn(decode_image, image_bytes, fn_output_signature=tf.TensorSpec(_SHAPE, tf.uint8))


def decode_image(image_bytes: tf.Tensor) -> tf.Tensor:
    """A scalar JPEG or PNG file -> (384, 384, 3) uint8, stretched with an antialiased bilinear filter.

    The one definition of preprocessing in the graph, for training and serving; `seamline_client.images` is its twin
    outside of TensorFlow. Raises InvalidArgumentError as `decode` does.
    """
    resized = tf.image.resize(decode(image_bytes), (IMAGE_SIDE, IMAGE_SIDE), method="bilinear", antialias=True)
    return tf.ensure_shape(tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8), _SHAPE)


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
    """A scalar JPEG or PNG file -> its pixels (H, W, 3) uint8.

    Raises InvalidArgumentError for anything that is not such a file, is cut short, or is larger than MAX_PIXELS.
    """
    is_jpeg = tf.equal(tf.strings.substr(image_bytes, 0, len(_JPEG)), _JPEG)
    is_png = tf.equal(tf.strings.substr(image_bytes, 0, len(_PNG)), _PNG)
    # Too short for a header, an op below would put the picture's own bytes into its error message.
    is_png &= tf.strings.length(image_bytes) >= _PNG_HEADER
    known = tf.debugging.Assert(is_jpeg | is_png, ["Unknown image file format. One of JPEG, PNG required."])
    with tf.control_dependencies([known] if known is not None else []):
        height, width = tf.unstack(
            tf.cond(is_jpeg, lambda: tf.image.extract_jpeg_shape(image_bytes)[:2], lambda: _png_shape(image_bytes))
        )
    small = tf.debugging.Assert(
        tf.cast(height, tf.int64) * tf.cast(width, tf.int64) <= MAX_PIXELS,
        ["Image of", width, "x", height, "pixels is too large: at most", MAX_PIXELS, "pixels are accepted."],
    )
    with tf.control_dependencies([small] if small is not None else []):
        return tf.cond(
            is_jpeg,
            # With this setting the decoder agrees with Pillow's to the last bit, or nearly so.
            lambda: tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.io.decode_png(image_bytes, channels=3),
        )


def _png_shape(image_bytes: tf.Tensor) -> tf.Tensor:
    """Height and width as the header of a PNG tells them: big-endian, at bytes 20 and 16."""
    header = tf.strings.substr(image_bytes, 16, 8)
    width, height = tf.unstack(tf.io.decode_raw(header, tf.int32, little_endian=False, fixed_length=8), num=2)
    return tf.stack([height, width])
