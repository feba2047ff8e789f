"""Networks that turn images into feature maps or features, built on timm and open_clip."""
