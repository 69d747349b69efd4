"""What every room stands on: errors, files, recipes, work in parallel."""
