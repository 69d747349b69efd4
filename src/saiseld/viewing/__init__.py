"""What a person looks at: panoramas with masks, overlay videos, pages."""
