"""What merged intensities tell of the crystal: Wilson statistics, twinning, translations, ice."""
