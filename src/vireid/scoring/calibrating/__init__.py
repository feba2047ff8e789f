"""Learning a calibration from labelled pictures; `models.calibration` keeps and applies it."""
