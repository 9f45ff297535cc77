"""Photos and their annotations, on the way to tensors: read or drawn, written as TFRecord, fed to the Estimator."""
