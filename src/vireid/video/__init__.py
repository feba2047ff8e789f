"""From frames and video to people: frames, boxes, tracks, cut-outs."""
