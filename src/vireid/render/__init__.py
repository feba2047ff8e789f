"""NightWalk: people who do not exist, rendered as visible and near-infrared cameras see them.

bodies (anny) -> people (who wears what) -> outfits (geometry) -> poses -> scenes -> pictures
-> nightwalk (files).
"""
