"""Predictions of counts: the posterior of every gene given the state of the samples, and the state of new samples given it."""
