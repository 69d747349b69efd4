"""What a perfect detector would find: the box and the 28 x 28 map of a label."""

import numpy as np
from scipy.ndimage import map_coordinates

from saiseld.data.label_columns import box_of
from saiseld.formats.candidates import MAP_SIZE


def exact_detection(mask):
    """Return (box, map) of a label: the box around its pixels, the map sampled at cell centres."""
    points = np.concatenate(mask.segmentation)
    x0, y0, x1, y1 = box_of(points[:, 0], points[:, 1])
    column = np.mod(points[:, 0] - x0, 360).astype(int)
    row = (points[:, 1] - y0).astype(int)
    image = np.zeros((row.max() + 1, column.max() + 1))
    image[row, column] = points[:, 2]
    cell = (np.arange(MAP_SIZE) + 0.5) / MAP_SIZE
    # A pixel reaches one to the right and down of its coordinates; its value stands at its middle.
    at = np.meshgrid(cell * image.shape[0] - 0.5, cell * image.shape[1] - 0.5, indexing="ij")
    energy_map = map_coordinates(image, at, order=1, mode="nearest")
    return (x0, y0, x1 + 1, y1 + 1), energy_map
