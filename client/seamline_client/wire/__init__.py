"""TensorFlow Serving's messages, as far as a client needs them: `serving.proto` and the code generated from it."""
