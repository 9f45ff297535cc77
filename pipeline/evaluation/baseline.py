"""What a model has to beat: one that has not looked at the photo and answers where the points usually are."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from model.metrics import NE, Metrics
from pipeline.data.records import Dataset
from pipeline.evaluation import labels
from seamline_client.contract import ABSENT


def mean_position_ne(dataset: Dataset) -> float:
    """NE in percent, on the evaluation split, of answering for each point its mean position over the training split.

    The mean is taken in fractions of the picture's sides, over the photos that have the point; the picture's centre
    stands for a point that none of them has. NaN when no evaluation photo has an NE. Raises DataError for damage.
    """
    train = labels.read(dataset, "train")
    there = (train["v"] != ABSENT)[:, :, None]
    count = there.sum(axis=0)
    mean = np.where(count > 0, np.sum(train["xy"], axis=0, where=there) / np.maximum(count, 1), 0.5)
    truth = labels.read(dataset, "eval")
    guess = np.broadcast_to(mean.astype(np.float32), np.shape(truth["xy"]))
    metrics = Metrics(dataset.keypoints)
    return metrics.means(metrics.tally(tf.constant(guess), truth["v"], truth).numpy()).get(NE, math.nan)
