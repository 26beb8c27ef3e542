"""Snaphold: incident backups for SOAR. Classify, quiesce, back up, seal as evidence, hold."""

__version__ = "0.1.0"
