"""Unusual values and runs of missing data: detectors as plain functions in one list."""
