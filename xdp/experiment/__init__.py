"""The models of an experiment: beam, detector, goniometer, scan, crystal, and lists of experiments."""
