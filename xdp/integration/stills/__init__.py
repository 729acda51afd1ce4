"""Integration of stills: each image on its own, with the crystals that were found on it."""
