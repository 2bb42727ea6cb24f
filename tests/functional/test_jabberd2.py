"""
jabberd2 as the partner's server: dialback, in clear text and under TLS.

COMPAT: jabberd2 2.7 has no SASL EXTERNAL, so that the columns of the matrix where a certificate counts are not for it.
Without a certificate of its own it has no XMPP 1.0 either: its stream headers have no addresses, and it asks twice.
It sends for all its domains on one stream to a domain of ours, whatever each of them needs, and gives that stream up
when one of them is refused.
"""

import matrix
import pytest

MODES = ("plain", "dialback", "optional-dialback")


@pytest.fixture(scope="module")
def lab_for(own_lab):
    """What must not share a stream has labs of its own: partners that want TLS, and those that want none."""
    labs = {without_tls: matrix.labs(own_lab, partner="jabberd2") for without_tls in (False, True)}
    return lambda row, mode: labs[row.startswith("N")](mode)


@pytest.mark.parametrize("row, mode", [cell for cell in matrix.cells() if cell[1] in MODES])
def test_matrix(lab_for, row, mode):
    matrix.check_cell(lab_for(row, mode), row, mode)


def test_several_domains_on_one_stream(lab_for):
    """Each is proved by itself."""
    lab = lab_for("OO-yes", "dialback")
    for row in "OO-yes", "RN-yes":
        juliet, romeo = matrix.users_of(lab, matrix.domain(row))
        matrix.check_delivery(lab, juliet, romeo)
    links = [lab.bridge.link(matrix.domain(row), "in") for row in ("OO-yes", "RN-yes")]
    assert links[0]["id"] == links[1]["id"] and {link["auth"] for link in links} == {"dialback"}, links
