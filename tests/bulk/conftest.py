"""A cluster of two nodes on this machine: each is a raylet with workers of its own."""

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from vireid.bulk import cluster as clusters
from vireid.bulk.cluster import Cluster


class TwoNodes:
    """Two nodes with a processor each: the head, and another that can be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        head = {"num_cpus": 1, "include_dashboard": False}
        self.nodes: Any = Nodes(initialize_head=True, head_node_args=head)
        self.fill()
        self.asked = Cluster(self.nodes.address)
        self.one_worker = replace(self.asked, workers=1)

    def fill(self) -> None:
        """Add the other node, if it is not there."""
        if not self.nodes.worker_nodes:
            self.nodes.add_node(num_cpus=1)

    def kill_one(self) -> None:
        """Kill the other node with all that runs on it, as a power cut does."""
        (other,) = self.nodes.worker_nodes
        self.nodes.remove_node(other, allow_graceful=False)


@pytest.fixture(scope="session")
def token() -> Mapping[str, str]:
    """One for all clusters that this process begins: Ray keeps to the first that it was told."""
    return clusters.token()


@pytest.fixture(scope="package")
def all_nodes(token: Mapping[str, str]) -> Iterator[TwoNodes]:
    """Started once for the tests of this room, and ended after them: idle nodes take time too."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    with ExitStack() as stack:
        alone = {**clusters.QUIET, **clusters.ALONE, **clusters.NOWHERE, **token}
        stack.enter_context(clusters.environment(alone))
        nodes = TwoNodes()
        stack.callback(nodes.nodes.shutdown)
        stack.enter_context(clusters.joined(nodes.asked.address))
        yield nodes


@pytest.fixture
def two_nodes(all_nodes: TwoNodes) -> TwoNodes:
    all_nodes.fill()
    return all_nodes
