"""How much of each reflection a still records: model, fit to a shot, prior of a run, post-refinement."""
