"""What each data set, or each group of images, does to CC1/2."""
