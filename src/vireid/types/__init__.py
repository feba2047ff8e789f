"""Types that say more than Python's own: arrays and tensors by shape, numbers by range."""
