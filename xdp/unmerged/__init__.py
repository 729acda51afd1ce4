"""Unmerged intensities of other programs: MTZ files, and XDS' XDS_ASCII.HKL and INTEGRATE.HKL."""
