"""The end of integration: corrections and filters applied, statistics, reports."""
