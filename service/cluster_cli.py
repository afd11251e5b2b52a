"""`--cluster`: have the work of a command done by the workers of a Dask cluster."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.cluster import Cluster


def add_cluster(parser: argparse.ArgumentParser, work: str) -> None:
    """Add the arguments to a command.

    :param work: What the workers do for it.
    """
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help=f"{work} on the workers of this Dask scheduler, such as tcp://127.0.0.1:8786",
    )
    parser.add_argument(
        "--plain-cluster", action="store_true", help="allow --cluster an address without TLS that is not on loopback"
    )


@contextmanager
def connected(arguments: argparse.Namespace, say: Callable[[str], None]) -> "Iterator[Cluster | None]":
    """Give the cluster that was asked for, or None.

    :param say: Called with a line that the operator should see.
    :raises ClusterError: It cannot be reached or used.
    """
    if not arguments.cluster:
        yield None
        return
    from ingest.cluster import Cluster

    with Cluster(arguments.cluster, plain=arguments.plain_cluster, say=say) as cluster:
        threads = cluster.threads()
        say(f"cluster {cluster.address}: {threads} threads" if threads else f"cluster {cluster.address}: no worker yet")
        yield cluster
