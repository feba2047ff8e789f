"""A cluster of two nodes on this machine: each is a raylet with workers of its own."""

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from vireid.bulk import cluster as clusters
from vireid.bulk.cluster import Cluster


class TwoNodes:
    """A head that keeps the books and does no work, and two nodes with a processor each."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        self.nodes: Any = Nodes(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        self.working: list[Any] = []
        self.fill()
        self.asked = Cluster(self.nodes.address)

    def fill(self) -> None:
        """Add nodes until there are two that work."""
        while len(self.working) < 2:
            self.working.append(self.nodes.add_node(num_cpus=1))

    def kill_one(self) -> None:
        """Kill a node with all that runs on it, as a power cut does."""
        self.nodes.remove_node(self.working.pop(0), allow_graceful=False)


@pytest.fixture(scope="session")
def all_nodes() -> Iterator[TwoNodes]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    with ExitStack() as stack:
        alone = {**clusters.QUIET, **clusters.ALONE, **clusters.NOWHERE, **clusters.token()}
        stack.enter_context(clusters.environment(alone))
        nodes = TwoNodes()
        stack.callback(nodes.nodes.shutdown)
        stack.enter_context(clusters.joined(nodes.asked.address))
        yield nodes


@pytest.fixture
def two_nodes(all_nodes: TwoNodes) -> TwoNodes:
    all_nodes.fill()
    return all_nodes
