"""Where the panels of a detector lie, from the spots of many shots."""
