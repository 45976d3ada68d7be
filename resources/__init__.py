"""Connections to the outside, named by role."""
