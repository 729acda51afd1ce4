"""True intensities of simulated structures."""
