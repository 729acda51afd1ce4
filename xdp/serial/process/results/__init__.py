"""What a run of shots leaves: tables, sets of files, streams, the record."""
