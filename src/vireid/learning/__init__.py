"""Learning: from a recipe to a run folder. Nothing in here looks at scores."""
