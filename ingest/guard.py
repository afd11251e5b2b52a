"""Which addresses a crawl may connect to: public ones alone, checked on the very address that is connected to."""

import ipaddress
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

#: Ports of public web sites; others, on a public address, are services that a crawler has no business with.
PORTS = frozenset({80, 443, 8080, 8443})
#: Seconds that the system's resolver gets for a name.
SLOWEST_LOOKUP = 15.0
#: Seconds that an answer is used again. Every use is checked, so a longer time is no danger, only out of date.
KEPT = 60.0
_MOST_KEPT = 10_000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Gives the IP addresses of a host name, as text.
Lookup = Callable[[str], Sequence[str]]

# Public IPv6 is 2000::/3 alone (RFC 4291, 2.4); what embeds an IPv4 address is judged by that one.
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")
# What `is_global` of this or an older Python lets pass: relays and transition networks, documentation, segment routing.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4", "2001::/23", "3fff::/20", "2620:4f:8000::/48")
)  # fmt: skip


def kind_of(address: Address) -> str | None:
    """Say what an address is that is not public, such as "a private address"; None for a public one.

    >>> kind_of(ipaddress.ip_address("::ffff:10.0.0.5")), kind_of(ipaddress.ip_address("93.184.216.34"))
    ('a private address', None)
    """
    address = _embedded(address)
    if address.is_unspecified:
        return "an unspecified address"
    if address.is_loopback:
        return "a loopback address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if any(address in network for network in _NEVER if network.version == address.version):
        return "a reserved address"
    if isinstance(address, ipaddress.IPv6Address):
        if address.is_private or address not in _GLOBAL_6:
            return "a private address"
        return None
    return None if address.is_global else "a private address"


def _embedded(address: Address) -> Address:
    """Give the IPv4 address that an IPv6 address leads to, where it leads to one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inside = address.ipv4_mapped or address.sixtofour
    if inside is None and address.teredo:
        inside = address.teredo[1]
    if inside is None and any(address in network for network in _NAT64):
        inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inside is None and address in _COMPATIBLE and int(address) > 1:
        inside = ipaddress.IPv4Address(int(address))
    return inside or address


class Guard:
    """Looks host names up for a crawl, and gives only addresses that it may connect to.

    Names, numbers in any spelling, redirects and names that change their address all come here, since it is asked
    for every connection that is opened, and the connection goes to the address that was checked.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        exempt: Iterable[tuple[str, int]] = (),
        lookup: Lookup | None = None,
        kept: float = KEPT,
    ) -> None:
        """Make a guard.

        :param allow_private: Let everything pass.
        :param exempt: (IP address, port) of services that may be reached all the same; a test names its own site.
        :param lookup: Used rather than the system's resolver; a test gives a table, so as not to ask the network.
        :param kept: Seconds that an answer is used again.
        :ivar refusals: Why a host and port was refused, the last time that it was.
        """
        self.allow_private = allow_private
        self.exempt = frozenset(exempt)
        self.refusals: dict[tuple[str, int], str] = {}
        self._lookup = lookup or _system_lookup
        self._kept = kept
        self._known: OrderedDict[str, tuple[float, tuple[str, ...]]] = OrderedDict()

    def look_up(self, host: str) -> tuple[str, ...]:
        """Give a host's addresses, from the resolver or as it was answered a short time ago.

        :raises OSError: The name has none.
        """
        known = self._known.get(host)
        if known and time.monotonic() - known[0] < self._kept:
            return known[1]
        addresses = tuple(self._lookup(host))
        self._known[host] = (time.monotonic(), addresses)
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)
        return addresses

    def passed(self, host: str, port: int, addresses: Iterable[str]) -> list[Address]:
        """Give those of a host's addresses that may be connected to; if there is none, `refusals` says why."""
        passed: list[Address] = []
        why = None
        for text in addresses:
            try:
                address = ipaddress.ip_address(text.partition("%")[0])
            except ValueError:
                continue
            problem = self._problem(host, address, port)
            if problem is None:
                passed.append(address)
            why = why or problem
        if why and not passed:
            self.refusals[_key(host), port] = why
        return passed

    def refusal(self, url: str) -> str | None:
        """Give why the host of an address was refused, if it was."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return self.refusals.get((_key(parts.hostname or ""), port))

    def _problem(self, host: str, address: Address, port: int) -> str | None:
        if self.allow_private or (str(address), port) in self.exempt:
            return None
        kind = kind_of(address)
        if kind:
            named = kind if host.strip("[]") == str(address) else f"{address}, {kind}"
            verb = "is" if named == kind else "resolves to"
            return f"{host} {verb} {named}; set allow_private = true for this source if it is yours"
        if port not in PORTS:
            allowed = ", ".join(str(number) for number in sorted(PORTS))
            return (
                f"{host}: port {port} is not one of {allowed}; set allow_private = true for this source if it is yours"
            )
        return None


def _key(host: str) -> str:
    """Write a host as it stands in addresses: Twisted gives international names as they are read."""
    with suppress(UnicodeError):
        host = host if host.isascii() else host.encode("idna").decode("ascii")
    return host.strip("[]").removesuffix(".").lower()


def _system_lookup(host: str) -> list[str]:
    # Numbers such as 2130706433 or 0x7f.1 come out as the address that they mean.
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def table_lookup(table: dict[str, Sequence[str]]) -> Lookup:
    """Make a lookup of a table, for tests: a host that is not in it does not exist."""

    def lookup(host: str) -> Sequence[str]:
        try:
            return [str(ipaddress.ip_address(host.strip("[]")))]
        except ValueError:
            pass
        if _key(host) not in table:
            raise OSError(f"{host}: no such host in the table")
        return table[_key(host)]

    return lookup


@implementer(IHostnameResolver)
class GuardedResolver:
    """Twisted's name resolver with a `Guard` in it: connections are opened to what it gives and to nothing else."""

    def __init__(self, guard: Guard, reactor: Any) -> None:  # noqa: ANN401  (Twisted has no type for a reactor)
        self._guard = guard
        self._reactor = reactor

    def install(self) -> None:
        """Take the place of the reactor's resolver."""
        self._reactor.installNameResolver(self)

    def resolveHostName(
        self,
        resolutionReceiver: Any,  # noqa: ANN401  (zope's interfaces are no types)
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type] | None = None,
        transportSemantics: str = "TCP",
    ) -> Any:  # noqa: ANN401
        """Look a name up in a thread and hand over the addresses that pass; none where none does."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        done = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._guard.look_up, hostName)
        done.addTimeout(SLOWEST_LOOKUP, self._reactor)

        def finish(addresses: Sequence[str]) -> None:
            for address in self._guard.passed(hostName, portNumber, addresses):
                kind = IPv4Address if address.version == 4 else IPv6Address
                if not addressTypes or kind in addressTypes:
                    resolutionReceiver.addressResolved(kind("TCP", str(address), portNumber))
            resolutionReceiver.resolutionComplete()

        done.addCallbacks(finish, lambda _: resolutionReceiver.resolutionComplete())
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Not possible: the system's resolver cannot be stopped. `SLOWEST_LOOKUP` bounds it."""
        raise NotImplementedError
