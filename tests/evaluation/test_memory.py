from __future__ import annotations

import msgspec
import numpy as np
from tests.memory import allocations

from saiseld.evaluation.drawn_labels import draw_labels


def test_drawing_a_label_file_takes_little_more_memory_than_its_bytes(tmp_path):
    # Masks are drawn as they are read, and forgotten: what grows with the file is its bytes alone.
    # (python -m benchmarks.evaluation --label-megabytes 400 measures the whole process.)
    x, y = np.meshgrid(np.arange(100, 132), np.arange(80, 110))
    blob = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, 0.123456)]).tolist()
    annotation = {"category_id": 1, "segmentation": [blob]}
    path = tmp_path / "take.json"
    path.write_bytes(
        msgspec.json.encode(
            {"annotations": [{**annotation, "metadata_frame_index": f} for f in range(30)]}
        )
    )
    with allocations() as peak:
        drawn = draw_labels(path, None)
        assert peak() < 2 * path.stat().st_size + 2**20
    assert len(drawn) == 30
