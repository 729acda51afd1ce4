"""Calibration of shots: darks, common mode, gains, masks, and the averages that they are made of."""

from xdp.serial.calibration.average import average_events
from xdp.serial.calibration.calibrate import Calibration
from xdp.serial.calibration.dark import Dark, PixelFault, find_faulty_pixels
from xdp.serial.calibration.options import AverageOptions, CalibrationOptions

__all__ = ["AverageOptions", "Calibration", "CalibrationOptions", "Dark", "PixelFault", "average_events",
           "find_faulty_pixels"]
