"""Least-squares refinement of beam, detector, goniometer and crystals against observed centroids."""
