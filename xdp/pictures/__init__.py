"""Pictures of diffraction images."""
