"""The detector: Mask R-CNN with energy heads on picture and acoustic image (spec 3)."""
