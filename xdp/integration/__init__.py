"""From models and images to intensities: prediction, shoeboxes, background, summation, profile fitting, corrections."""
