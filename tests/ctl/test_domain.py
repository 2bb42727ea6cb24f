import json
import pytest

DEFAULT = {"name": "corp.test", "phase": "coexist", "unlisted": "legacy", "xmpp_access": True}


def test_add_shows_what_is_stored(empty):
    assert empty.json("domain", "add", "corp.test") == DEFAULT
    assert empty.json("domain", "show", "corp.test") == DEFAULT
    assert empty.text("domain", "add", "b.test", "--unlisted=reject", "--xmpp-access", "off", "--phase", "legacy") \
        == "domain b.test added: phase legacy, unlisted users reject, XMPP access off\n"
    assert empty.json("domain", "show", "b.test") \
        == {"name": "b.test", "phase": "legacy", "unlisted": "reject", "xmpp_access": False}


def test_names_are_normalised(empty):
    assert empty.json("domain", "add", "CORP.Test.")["name"] == "corp.test"
    assert empty.json("domain", "add", "Müller.test")["name"] == "xn--mller-kva.test"
    assert empty.json("domain", "show", "MÜLLER.TEST")["name"] == "xn--mller-kva.test"
    empty.fails("domain", "add", "Corp.TEST", says="already")


def test_add_twice(reg):
    reg.fails("domain", "add", "corp.test", says=["'corp.test' is in the registry already", "domain set"])


def test_set_changes_only_what_is_given(reg):
    assert reg.json("domain", "set", "corp.test", "--phase", "migrated") \
        == dict(DEFAULT, phase="migrated", changed=True)
    assert reg.json("domain", "set", "corp.test", "--phase", "migrated")["changed"] is False
    assert reg.text("domain", "set", "corp.test", "--phase", "legacy", "--unlisted", "migrated") \
        == "domain corp.test: phase migrated -> legacy, unlisted legacy -> migrated\n"
    assert "is so already" in reg.text("domain", "set", "corp.test", "--phase", "legacy")


def test_set_without_anything(reg):
    reg.fails("domain", "set", "corp.test", status=2, says="nothing to set")


def test_list(reg):
    documents = reg.json("domain", "list")
    assert [d["name"] for d in documents] == ["corp.test", "other.test"]
    assert documents[0] == DEFAULT
    lines = reg.text("domain", "list").splitlines()
    assert lines[0].split() == ["DOMAIN", "PHASE", "UNLISTED", "XMPP-ACCESS"]
    assert lines[2].split() == ["other.test", "migrated", "reject", "no"]


def test_list_of_nothing(empty):
    assert empty.json("domain", "list") == []
    assert "domain add" in empty.text("domain", "list")


def test_remove(reg):
    assert reg.json("domain", "remove", "other.test") == {"removed": "other.test"}
    reg.fails("domain", "show", "other.test", says="no local domain 'other.test'")


def test_remove_with_users(reg):
    reg.fails("domain", "remove", "corp.test", says=["3 users", "user list --domain corp.test"])
    assert reg.json("domain", "show", "corp.test") == DEFAULT


@pytest.mark.parametrize("verb", ["show", "remove", "set"])
def test_unknown_names_the_nearest(reg, verb):
    words = ["--phase", "legacy"] if verb == "set" else []
    reg.fails("domain", verb, "corp.tset", *words, says="did you mean 'corp.test'?")
    reg.fails("domain", verb, "zzzzzzzzzzzz.example", *words, says="domain list")


@pytest.mark.parametrize("name", ["", " ", "corp test", "bob@corp.test", "corp.test/x", "*", ".test", "a..b",
                                  "[::1]", "192.0.2.1", "x" * 64 + ".test", "a." * 127 + "toolong", "b\x1b[31m"])
def test_what_is_no_domain(empty, name):
    error = empty.fails("domain", "add", "--", name)["error"]
    assert "\x1b" not in error
    assert empty.json("domain", "list") == []


def test_a_partner_of_that_name_is_warned_of(reg):
    r = reg.run("domain", "add", "partner.test")
    assert r.returncode == 0
    assert r.stderr.startswith(b"poolbridgectl: warning: 'partner.test' is a partner as well")
    reg.text("domain", "remove", "partner.test")
    r = reg.run("--json", "domain", "add", "partner.test")
    assert r.stderr == b"" and "as well" in json.loads(r.stdout)["warnings"][0]
