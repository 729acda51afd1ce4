"""Laue groups, screw axes and the choice of axes, from integrated intensities."""
