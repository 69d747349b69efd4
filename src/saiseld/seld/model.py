"""The SELD network in torch: a pretrained encoder and a network on its embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from saiseld.conventions.taxonomy import CLASS_NAMES
from saiseld.formats.checkpoint import (
    check_header,
    load_weights,
    read_checkpoint,
    write_checkpoint,
)
from saiseld.runtime.devices import Device
from saiseld.runtime.errors import CheckpointError
from saiseld.seld.encoders import ENCODERS, PREFIX, PretrainedEncoder, frozen
from saiseld.seld.inputs import Inputs
from saiseld.seld.network import Batch, SeldNetwork, frame_embeddings
from saiseld.seld.output import Array

KIND = "seld"


class Seld:
    """Encoder and network.

    Parameters
    ----------
    encoder_name, encoder
        Encoder that others trained, and the name it is known by.
    network
        What is trained on its embeddings.
    header
        Provenance of the weights, as JSON values.
    """

    def __init__(
        self,
        encoder_name: str,
        encoder: PretrainedEncoder,
        network: SeldNetwork,
        header: Mapping[str, Any] | None = None,
    ) -> None:
        self.encoder_name, self.encoder, self.network = encoder_name, encoder, network
        self.header = dict(header or {})
        self.device: Device = "cpu"

    @classmethod
    def load(cls, path: str | Path) -> Seld:
        """Read weights of `save`.

        Raises
        ------
        CheckpointError
            If they are of no SELD network, of an unknown encoder or of other classes.
        """
        state, header = read_checkpoint(path)
        check_header(path, header, kind=KIND, classes=list(CLASS_NAMES))
        encoder_name = str(header.get("prior"))
        if encoder_name not in ENCODERS:
            raise CheckpointError(
                path, place="prior", expected=f"one of {', '.join(ENCODERS)}", found=encoder_name
            )
        encoder = ENCODERS[encoder_name]()
        network = SeldNetwork(encoder.channels)
        for prefix, module in ((PREFIX, encoder), ("network.", network)):
            load_weights(
                module,
                {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)},
                path,
            )
        network.eval().requires_grad_(False)
        return cls(encoder_name, frozen(encoder), network, header)

    def save(self, path: str | Path) -> None:
        """Write the weights in 16 bits."""
        state = {
            f"{prefix}{key}": value.half() if value.is_floating_point() else value
            for prefix, module in ((PREFIX, self.encoder), ("network.", self.network))
            for key, value in module.state_dict().items()
        }
        identity = {"kind": KIND, "classes": list(CLASS_NAMES), "prior": self.encoder_name}
        write_checkpoint(path, state, {**self.header, **identity})

    def to(self, device: Device) -> Seld:
        """Move to a device, and return itself."""
        self.encoder.to(device)
        self.network.to(device)
        self.device = device
        return self

    @torch.inference_mode()
    def __call__(self, audio: Array, features: Inputs, tta: int, last: int) -> Array:
        """Process one window: a `saiseld.seld.audio_branch.Network`."""
        batch = Batch(*(torch.from_numpy(part)[None].to(self.device) for part in features))
        sound = torch.from_numpy(audio)[None].to(self.device)
        embedded = frame_embeddings(self.encoder(sound, batch.mels), batch.covariance.shape[1])
        outputs = []
        for view in range(tta):
            logits = self.network(batch, embedded, view=view, last=last)
            outputs.append(torch.cat([part[0].flatten(1) for part in logits], dim=1))
        return np.asarray(torch.stack(outputs).mean(0).cpu().numpy())
