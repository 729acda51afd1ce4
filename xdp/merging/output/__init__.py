"""Files of merged intensities."""
