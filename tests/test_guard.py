import ipaddress

import pytest

from ingest.guard import Guard, kind_of, table_lookup

# (address, a word of what it is); a port in brackets is of no matter here
NOT_PUBLIC = [
    ("0.0.0.0", "unspecified"), ("::", "unspecified"),
    ("127.0.0.1", "loopback"), ("127.255.255.254", "loopback"), ("::1", "loopback"),
    ("169.254.169.254", "link-local"), ("fe80::1", "link-local"),
    ("224.0.0.1", "multicast"), ("239.255.255.250", "multicast"), ("ff02::1", "multicast"),
    ("10.0.0.5", "private"), ("172.16.0.1", "private"), ("192.168.1.1", "private"), ("100.64.0.1", "private"),
    ("fc00::1", "private"), ("fd12:3456::1", "private"), ("fec0::1", "private"), ("100::1", "private"),
    ("5f00::1", "private"), ("2001:db8::1", "private"), ("192.0.2.1", "private"), ("203.0.113.9", "private"),
    ("0.1.2.3", "private"), ("255.255.255.255", "reserved"), ("240.0.0.1", "reserved"), ("192.88.99.1", "reserved"),
    ("198.18.0.1", "reserved"), ("192.0.0.8", "reserved"), ("3fff::1", "reserved"), ("2001:2::1", "reserved"),
    ("::ffff:127.0.0.1", "loopback"), ("::ffff:10.0.0.5", "private"), ("::ffff:169.254.169.254", "link-local"),
    ("2002:7f00:1::", "loopback"), ("2002:a00:5::1", "private"),
    ("64:ff9b::7f00:1", "loopback"), ("64:ff9b::a9fe:a9fe", "link-local"), ("64:ff9b:1::a00:5", "private"),
    ("::127.0.0.1", "loopback"), ("2001:0:4136:e378:8000:63bf:80ff:fffe", "loopback"),
]  # fmt: skip
PUBLIC = [
    "93.184.216.34",
    "1.1.1.1",
    "2606:4700::1111",
    "::ffff:93.184.216.34",
    "2002:5db8:d822::1",
    "64:ff9b::5db8:d822",
]


@pytest.mark.parametrize(("text", "word"), NOT_PUBLIC)
def test_what_is_not_public_is_named(text, word):
    found = kind_of(ipaddress.ip_address(text))
    assert found is not None
    assert word in found


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_pass(text):
    assert kind_of(ipaddress.ip_address(text)) is None


# As a system's resolver reads them; not one of them asks the network.
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "::1", "::ffff:127.0.0.1", "0", "localhost"]
)
def test_numbers_in_any_spelling_are_refused_as_the_address_that_they_mean(host):
    guard = Guard()
    assert guard.passed(host, 80, guard.look_up(host)) == []
    assert "set allow_private = true" in guard.refusals[host, 80]


def test_a_refusal_says_what_the_name_resolves_to_and_what_to_do():
    guard = Guard(lookup=table_lookup({"help.example": ["10.0.0.5"]}))
    assert guard.passed("help.example", 443, guard.look_up("help.example")) == []
    assert guard.refusal("https://help.example/a") == (
        "help.example resolves to 10.0.0.5, a private address; set allow_private = true for this source if it is yours"
    )
    assert guard.refusal("http://help.example/a") is None


def test_a_name_that_changes_its_address_is_refused_from_then_on():
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    guard = Guard(lookup=lambda _: next(answers), kept=0)
    assert [str(found) for found in guard.passed("help.example", 80, guard.look_up("help.example"))] == [
        "93.184.216.34"
    ]
    assert guard.passed("help.example", 80, guard.look_up("help.example")) == []
    assert "127.0.0.1, a loopback address" in (guard.refusal("http://help.example/") or "")


def test_of_several_addresses_only_the_public_ones_are_connected_to():
    guard = Guard(lookup=table_lookup({"help.example": ["127.0.0.1", "93.184.216.34", "fe80::1%eth0", "nonsense"]}))
    found = guard.passed("help.example", 80, guard.look_up("help.example"))
    assert [str(address) for address in found] == ["93.184.216.34"]
    assert guard.refusal("http://help.example/") is None


@pytest.mark.parametrize(
    ("port", "passes"), [(80, True), (443, True), (8080, True), (8443, True), (22, False), (6379, False)]
)
def test_only_ports_of_web_sites_are_connected_to(port, passes):
    guard = Guard()
    assert bool(guard.passed("help.example", port, ["93.184.216.34"])) is passes
    assert passes or "port" in guard.refusals["help.example", port]


def test_what_the_operator_allows_passes():
    assert Guard(allow_private=True).passed("help.example", 22, ["10.0.0.5"])
    guard = Guard(exempt=[("127.0.0.1", 5000)])
    assert guard.passed("help.example", 5000, ["127.0.0.1"])
    assert not guard.passed("help.example", 5001, ["127.0.0.1"])


def test_international_names_are_found_again_as_they_stand_in_addresses():
    guard = Guard()
    guard.passed("hilfe-müller.example", 80, ["10.0.0.5"])
    assert guard.refusal("http://xn--hilfe-mller-zhb.example/") is not None
