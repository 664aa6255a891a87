"""Permutation."""
