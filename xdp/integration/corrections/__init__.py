"""Corrections of integrated intensities: Lorentz, polarisation, efficiency, absorption."""
