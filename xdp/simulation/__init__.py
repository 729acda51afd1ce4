"""Forward models: diffraction images with known truth."""
