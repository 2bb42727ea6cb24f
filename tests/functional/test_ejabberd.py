"""ejabberd as the partner's server, configured each way, and certificates of each kind on both sides."""

import matrix
import pytest
from matrix import FAST, VARIANTS, check_delivery, check_links, ours, person, policy, theirs, users_of

from lab.federation import Federation, Partner

# COMPAT: ejabberd 23.01 knows the names of a certificate that are DNS names, its own as well as ours, and takes no
# certificate for servers only from a server that connects. It offers EXTERNAL whatever it thinks of ours, refuses,
# and goes on with dialback on the same stream; an XmppAddr breaks its check, and the stream with it.
REFUSED_BY_EJABBERD = ("server-only", "srv-only", "xmppaddr-only")
NEVER_SHOWN = ("srv-only", "xmppaddr-only")


@pytest.fixture(scope="module")
def lab_in_mode(own_lab):
    return matrix.labs(own_lab, partner="ejabberd")


@pytest.mark.parametrize("row, mode", matrix.cells())
def test_matrix(lab_in_mode, row, mode):
    matrix.check_cell(lab_in_mode(mode), row, mode)


@pytest.fixture(scope="module")
def certified(own_lab):
    partners = [Partner(theirs(variant), variant, policy("RO-yes")) for variant in VARIANTS]
    federation = Federation("either", partners, local={ours(variant): variant for variant in VARIANTS})
    return own_lab(partner="ejabberd", pool=False, settings=FAST, federation=federation)


@pytest.mark.parametrize("variant", VARIANTS)
def test_their_certificate(certified, variant):
    juliet, romeo = users_of(certified, theirs(variant))
    check_delivery(certified, juliet, romeo)
    check_links(certified, theirs(variant), "T" if VARIANTS[variant] or variant in NEVER_SHOWN else "S")


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_certificate(certified, variant):
    """What it refuses is followed by dialback, on the same stream or the next."""
    lab, refused = certified, bool(VARIANTS[variant]) or variant in REFUSED_BY_EJABBERD
    juliet, romeo = person(lab, f"rosaline@{theirs('good')}"), person(lab, f"romeo@{ours(variant)}", lab.legacy_user)
    mark = lab.bridge.process.mark()
    check_delivery(lab, juliet, romeo)
    assert lab.bridge.link(theirs("good"), "in", ours(variant))["auth"] == "external"
    assert lab.bridge.link(theirs("good"), "out", ours(variant))["auth"] == ("dialback" if refused else "external")
    said = [line for line in lab.bridge.process.lines[mark:] if "sasl-refused-by-peer" in line or "state=sasl" in line]
    assert bool(said) == refused, said
