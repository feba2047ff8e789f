"""NightWalk: people who do not exist, as visible, near-infrared and thermal cameras see them.

bodies (anny) -> people (who wears what) -> outfits (geometry) -> poses; scenes (cameras, light,
weather), places and things (surroundings) -> solids (who stands where), views (lenses, boxes),
shading (light), sensors (grey levels) -> pictures; plans (who, how often), layouts (names, lists),
truth (ground truth) -> nightwalk (files).
"""
