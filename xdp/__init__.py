"""Batch processing of X-ray diffraction images, from image stacks to intensities."""

__version__ = "0.1.0"
