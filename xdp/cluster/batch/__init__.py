"""Batch systems: their commands, jobs, and the driver as a job."""
