"""Measurements of this build, each beside something measured in the same run."""
