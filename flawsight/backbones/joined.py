"""Several networks as one: "a+b", whose levels are called a:stage3, b:stage5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flawsight.backbones.onnx import OnnxBackbone, Origin, notes_of
from flawsight.errors import UsageError
from flawsight.types import Float

JOINT, OF = "+", ":"  # between networks; between a network and its level
PART = "backbone."  # before a network's name, its ONNX file in a model file


class JoinedBackbone:
    """The networks by name, each opened with its own of these levels. origin: of all together.

    members: the networks, in the order in which the levels name them first.
    """

    def __init__(self, networks: Mapping[str, OnnxBackbone], levels: Sequence[str], origin: Origin | None = None) -> None:
        self._names = tuple(dict.fromkeys(level.partition(OF)[0] for level in levels))
        self.members = tuple(networks[name] for name in self._names)
        self.levels = tuple(levels)
        self.runtime, self.device = self.members[0].runtime, self.members[0].device
        self.graphs = {f"{PART}{name}": network.data for name, network in networks.items()}
        self.origin = origin or _origin([network.origin for network in networks.values()])

    @property
    def notes(self) -> list[str]:
        """What must be said wherever results of them are shown."""
        return notes_of(self.origin, self.runtime)

    def features(self, images: Float) -> list[Float]:
        """The feature maps, float32 [B,C,h,w] for each level, of images float32 [B,3,H,W]. Safe to call from several threads."""
        found = {
            f"{name}{OF}{level}": maps
            for name, member in zip(self._names, self.members, strict=True)
            for level, maps in zip(member.levels, member.features(images), strict=True)
        }
        return [found[level] for level in self.levels]


def restored(
    graphs: Mapping[str, bytes], levels: Sequence[str], runtime: str, origin: Origin, device: str = "cpu"
) -> OnnxBackbone | JoinedBackbone:
    """The network, or several, from the ONNX files that its `graphs` were."""
    names = [name.removeprefix(PART) for name in graphs if name.startswith(PART)]
    if not names:
        return OnnxBackbone(graphs["backbone"], levels, runtime, origin, device)
    networks = {name: OnnxBackbone(graphs[f"{PART}{name}"], own_levels(name, levels), runtime, device=device) for name in names}
    return JoinedBackbone(networks, levels, origin)


def own_levels(network: str, levels: Sequence[str]) -> tuple[str, ...]:
    """Those of the levels that are this network's, as it calls them. Raises UsageError if there are none."""
    own = tuple(level.removeprefix(network + OF) for level in levels if level.startswith(network + OF))
    if not own:
        raise UsageError(f"backbones: a level of each network was needed; got none of {network}. Name one, or leave {network} out.")
    return own


def _origin(origins: Sequence[Origin]) -> Origin:
    """What is to be said of all, each thing once."""

    def together(words: Sequence[str]) -> str:
        return f" {JOINT} ".join(dict.fromkeys(words))

    return Origin(
        together([one.sha256 for one in origins]),
        together([one.licence for one in origins]),
        together([one.source for one in origins]),
        together([one.weights for one in origins]),
    )
