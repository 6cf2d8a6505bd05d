"""k-means over item vectors, in memory that does not grow with items times clusters."""

import numpy as np
import tensorflow as tf

POINTS_PER_CLUSTER = 64  # of a random sample; more move the centroids little
ITERATIONS = 10
BLOCK = 4096  # points compared with all centroids at once


def cluster(points: np.ndarray, num_clusters: int, seed: int = 0) -> np.ndarray:
    """Return the cluster of each point: Lloyd's algorithm from random points.

    Args:
        points: float32 [I, d].
        num_clusters: int. At most so many; clusters without a point are left out.
        seed: int. The same seed gives the same clusters.

    Returns:
        int64 [I] in [0, C), every number in use.
    """
    rng = np.random.default_rng(seed)
    size = min(len(points), POINTS_PER_CLUSTER * num_clusters)
    sample = points[np.sort(rng.choice(len(points), size, replace=False))]
    centroids = sample[rng.choice(size, min(num_clusters, size), replace=False)]
    for _ in range(ITERATIONS):
        nearest = _nearest(sample, centroids)
        means, counts = means_by_group(sample, nearest, len(centroids))
        centroids = np.where(counts[:, np.newaxis] > 0, means, centroids)
    return np.unique(_nearest(points, centroids), return_inverse=True)[1]


def means_by_group(points: np.ndarray, groups: np.ndarray, num_groups: int):
    """Return float32 [G, d], zeros for an empty group, and the number of points of each."""
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups, minlength=num_groups)
    means = np.zeros((num_groups, points.shape[1]), np.float32)
    for group, rows in enumerate(np.split(order, np.cumsum(counts)[:-1])):
        if len(rows):
            means[group] = points[rows].mean(axis=0, dtype=np.float64)
    return means, counts


def _nearest(points, centroids) -> np.ndarray:
    # The centroid of highest p · c - |c|² / 2 is the nearest one. TensorFlow multiplies small
    # blocks faster, NumPy finds the largest of a row ten times as fast.
    halves = tf.reduce_sum(centroids**2, axis=1) / 2
    nearest = np.empty(len(points), np.int64)
    for start in range(0, len(points), BLOCK):
        block = slice(start, start + BLOCK)
        scores = tf.matmul(points[block], centroids, transpose_b=True) - halves
        nearest[block] = scores.numpy().argmax(axis=1)
    return nearest
