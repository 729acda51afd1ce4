"""Runs of LCLS by the parameters of cctbx.xfel."""
