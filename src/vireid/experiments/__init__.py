"""Learning and scoring in one go: sweeps, validation curves, and adapting to one's own cameras."""
