"""Nika Pipelines. This package imports nothing, so that no import cycle can start here."""
