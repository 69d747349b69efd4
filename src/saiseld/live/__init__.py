"""Sound seen while it happens: samples and pictures stream in, frames of who sounds where out."""
