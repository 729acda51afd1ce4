"""Tables, plots and pages that tell people what the data and the models are."""
