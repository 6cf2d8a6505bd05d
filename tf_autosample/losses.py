"""Losses as pure functions on scores."""

import tensorflow as tf


def bpr_loss(positive_scores, negative_scores):
    """Bayesian personalised ranking: softplus(negative - positive).

    Args:
        positive_scores: float [B].
        negative_scores: float [B].

    Returns:
        float [B]. As a softplus, which neither overflows nor takes the logarithm of 0.

    Reference: Rendle et al., "BPR: Bayesian Personalized Ranking", UAI 2009.
    """
    return tf.nn.softplus(negative_scores - positive_scores)


def l2_penalty(*vectors):
    """Half the squared norms of the rows that a batch touched, summed over rows and tables.

    Args:
        *vectors: float [B, d] each: the layer-0 rows of users, positives and negatives.

    Returns:
        float [B]. A row that stands twice in the batch counts twice.
    """
    return sum(tf.reduce_sum(tf.square(one), axis=-1) for one in vectors) / 2
