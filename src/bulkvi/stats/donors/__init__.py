"""Donors."""
