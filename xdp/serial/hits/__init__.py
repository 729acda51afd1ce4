"""Hit finding: which shots of a serial run hold diffraction."""
