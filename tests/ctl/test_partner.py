import json
import os
import pytest

DEFAULT = {"name": "p.test", "gateway": "by-user", "type": "federated", "tls": "required", "sasl": "optional",
           "dialback": True, "keepalive": True, "connections": 0, "proxy": "", "description": "", "aliases": [],
           "authentication": ["SASL over TLS", "TLS dialback"]}
SASL, TLS, TCP = "SASL over TLS", "TLS dialback", "TCP dialback"
WEAK = "SASL requires TLS; making TLS optional can cause session negotiation failures"
UNUSED = "dialback will not be used"

# The negotiation matrix: tls, sasl, dialback -> the ways that remain (none: refused), and the warning.
MATRIX = [
    ("required", "required", "yes", [SASL], UNUSED),
    ("required", "required", "no", [SASL], None),
    ("optional", "required", "yes", [SASL, TLS, TCP], WEAK),
    ("optional", "required", "no", [SASL], WEAK),
    ("none", "required", "yes", [TCP], WEAK),
    ("none", "required", "no", None, None),
    ("required", "optional", "yes", [SASL, TLS], None),
    ("required", "optional", "no", [SASL], None),
    ("optional", "optional", "yes", [SASL, TLS, TCP], WEAK),
    ("optional", "optional", "no", [SASL], WEAK),
    ("none", "optional", "yes", [TCP], WEAK),
    ("none", "optional", "no", None, None),
    ("required", "none", "yes", [TLS], None),
    ("required", "none", "no", None, None),
    ("optional", "none", "yes", [TLS, TCP], None),
    ("optional", "none", "no", None, None),
    ("none", "none", "yes", [TCP], None),
    ("none", "none", "no", None, None),
]


def test_matrix_is_whole():
    assert len({row[:3] for row in MATRIX}) == 18


@pytest.mark.parametrize("verb", ["add", "set"])
@pytest.mark.parametrize("tls, sasl, dialback, ways, warning", MATRIX)
def test_matrix(empty, verb, tls, sasl, dialback, ways, warning):
    if verb == "set":
        empty.text("partner", "add", "p.test")
    words = ["partner", verb, "p.test", "--tls", tls, "--sasl", sasl, "--dialback", dialback]
    if ways is None:
        empty.fails(*words, says=["p.test", f"tls {tls}, sasl {sasl} and dialback no", "set --dialback yes"])
        assert len(empty.json("partner", "list")) == (verb == "set")
        if verb == "set":
            assert empty.json("partner", "show", "p.test") == DEFAULT
        return
    r = empty.run(*words)
    assert r.returncode == 0
    if warning:
        assert r.stderr.startswith(b"poolbridgectl: warning: partner 'p.test': ") and warning.encode() in r.stderr
    else:
        assert r.stderr == b""
    document = empty.json("partner", "show", "p.test")
    assert document["authentication"] == ways
    assert (document["tls"], document["sasl"], document["dialback"]) == (tls, sasl, dialback == "yes")
    document = empty.json("partner", "set", "p.test", "--tls", tls)  # in --json the warnings are in the document
    assert [warning in w for w in document.get("warnings", [])] == ([True] if warning else [])


def test_defaults(empty):
    assert empty.json("partner", "add", "P.Test") == DEFAULT
    assert empty.text("partner", "add", "q.test") \
        == "partner q.test added: gateway by-user, authentication by SASL over TLS, TLS dialback\n"


def test_every_option(empty):
    words = ["--gateway", "bridge", "--type", "public-unverified", "--tls", "optional", "--sasl", "none",
             "--dialback", "yes", "--keepalive", "no", "--connections", "7", "--proxy", "GW.P.test:5270",
             "--alias", "B.test", "--alias", "a.test", "--description", "Müller & \"Söhne\", 7"]
    expected = {"name": "p.test", "gateway": "bridge", "type": "public-unverified", "tls": "optional",
                "sasl": "none", "dialback": True, "keepalive": False, "connections": 7, "proxy": "gw.p.test:5270",
                "description": "Müller & \"Söhne\", 7", "aliases": ["a.test", "b.test"],
                "authentication": [TLS, TCP]}
    assert empty.json("partner", "add", "p.test", *words) == expected
    assert empty.json("partner", "set", "p.test", *words) == dict(expected, changed=False)
    assert empty.json("partner", "show", "p.test") == expected
    empty.text("partner", "add", "q.test")
    assert empty.json("partner", "set", "q.test", "--gateway", "blocked")["gateway"] == "blocked"


def test_everybody(empty):
    assert empty.json("partner", "add", "*", "--gateway", "legacy")["name"] == "*"
    empty.fails("partner", "set", "*", "--alias", "a.test", says="'*' stands for every domain")
    empty.fails("partner", "show", "unlisted.test", says="no partner 'unlisted.test'")
    assert empty.json("partner", "show", "*")["gateway"] == "legacy"
    assert empty.json("partner", "remove", "*") == {"removed": "*"}


def test_aliases(reg):
    assert reg.json("partner", "show", "CHAT.partner.test")["name"] == "partner.test"
    # set adds, and never takes away what it was not told to
    assert reg.json("partner", "set", "partner.test", "--alias", "b.test")["aliases"] \
        == ["b.test", "chat.partner.test"]
    assert reg.json("partner", "set", "partner.test", "--alias", "b.test")["changed"] is False
    assert reg.json("partner", "set", "partner.test", "--no-alias", "chat.partner.test")["aliases"] == ["b.test"]
    assert reg.json("partner", "set", "partner.test", "--no-alias", "chat.partner.test")["changed"] is False


def test_one_domain_belongs_to_one_partner(reg):
    reg.text("partner", "add", "second.test")
    reg.fails("partner", "set", "second.test", "--alias", "chat.partner.test", says="alias of the partner 'partner.test'")
    reg.fails("partner", "set", "second.test", "--alias", "partner.test", says="is the partner 'partner.test' already")
    reg.fails("partner", "set", "second.test", "--alias", "second.test", says="one domain belongs to one partner")
    reg.fails("partner", "add", "chat.partner.test", says=["alias of the partner 'partner.test'", "--no-alias"])
    reg.fails("partner", "add", "third.test", "--alias", "partner.test", says="already")
    assert [p["name"] for p in reg.json("partner", "list")] == ["partner.test", "second.test"]


def test_a_failing_alias_leaves_nothing_of_the_command(reg):
    before = reg.json("partner", "show", "partner.test")
    reg.fails("partner", "set", "partner.test", "--gateway", "bridge", "--alias", "a.test", "--alias", "b@c")
    assert reg.json("partner", "show", "partner.test") == before


def test_add_twice(reg):
    reg.fails("partner", "add", "partner.test", says=["in the registry already", "partner set"])


def test_unknown_names_the_nearest(reg):
    reg.fails("partner", "show", "partnr.test", says="did you mean 'partner.test'?")
    reg.fails("partner", "set", "chat.partner.tst", "--tls", "none", says="did you mean 'chat.partner.test'?")
    # an alias is not a name: what it belongs to must be named
    reg.fails("partner", "set", "chat.partner.test", "--tls", "none", says="is an alias of the partner 'partner.test'")
    reg.fails("partner", "remove", "chat.partner.test", says="is an alias of the partner 'partner.test'")
    reg.fails("partner", "remove", "zzzzzzzzzzzzzzzzzz.example", says="partner list")


def test_set_without_anything(reg):
    reg.fails("partner", "set", "partner.test", status=2, says="nothing to set")


def test_remove_takes_the_aliases(reg):
    assert reg.json("partner", "remove", "partner.test") == {"removed": "partner.test"}
    assert reg.sql("SELECT * FROM partner_alias") == []


@pytest.mark.parametrize("words, says", [
    (["--connections", "-1"], "'-1' is no number"),
    (["--connections", "4294967296"], "is no number"),
    (["--connections", "99999999999999999999"], "is no number"),
    (["--connections", "1x"], "is no number"),
    (["--connections", ""], "is no number"),
    (["--proxy", "a b"], "is no proxy"),
    (["--proxy", "host:0"], "is no proxy"),
    (["--proxy", "host:65536"], "is no proxy"),
    (["--proxy", "bob@host"], "is no proxy"),
    (["--proxy", "müller.test"], "is no proxy"),
    (["--alias", "a b"], "is not a domain name"),
    (["--alias", "*"], "is not a domain name"),
    (["--description", "x" * 512], "longer than 511 bytes"),
    (["--description", b"\xff"], "not UTF-8"),
])
def test_bad_values(empty, words, says):
    empty.fails("partner", "add", "p.test", *words, says=says)
    assert empty.json("partner", "list") == []


@pytest.mark.parametrize("given, stored", [
    ("", ""), ("Host", "host"), ("host.test:5269", "host.test:5269"), ("192.0.2.1", "192.0.2.1"),
    ("192.0.2.1:5269", "192.0.2.1:5269"), ("[2001:DB8::1]", "[2001:db8::1]"),
    ("[2001:db8::1]:5269", "[2001:db8::1]:5269"), ("host:65535", "host:65535"),
])
def test_proxy(empty, given, stored):
    assert empty.json("partner", "add", "p.test", "--proxy", given)["proxy"] == stored


def test_a_local_domain_is_warned_of(reg):
    r = reg.run("partner", "add", "corp.test")
    assert r.returncode == 0 and b"warning: 'corp.test' is a local domain" in r.stderr


def test_no_check_of_who_is_blocked(reg):
    reg.text("partner", "set", "partner.test", "--gateway", "blocked")
    reg.fails("check", "partner", "chat.partner.test", says="poolbridgectl partner set partner.test --gateway by-user")
    reg.text("partner", "add", "*", "--gateway", "blocked")
    reg.fails("check", "partner", "stranger.test", says="poolbridgectl partner add stranger.test")


def test_list(reg):
    lines = reg.text("partner", "list").splitlines()
    assert lines[0].split()[:2] == ["PARTNER", "GATEWAY"]
    assert lines[1].split() == ["partner.test", "by-user", "federated", "required", "optional", "yes",
                                "chat.partner.test"]
    assert reg.json("partner", "list")[0]["aliases"] == ["chat.partner.test"]


def test_list_of_nothing(empty):
    assert empty.json("partner", "list") == []
    assert "partner add" in empty.text("partner", "list")


def test_terminal_controls_in_a_description_stay_harmless(reg):
    reg.sql("UPDATE partner SET description = ?", "\x1b[31mred\x07\nline \u009b2J")
    text = reg.text("partner", "list") + reg.text("partner", "show", "partner.test")
    assert "\x1b" not in text and "\x07" not in text and "\u009b" not in text
    assert len(reg.text("partner", "list").splitlines()) == 2
    assert reg.json("partner", "show", "partner.test")["description"] == "\x1b[31mred\x07\nline \u009b2J"


# --- export and import

def content(reg):
    return reg.json("partner", "list")


def test_export_and_import_round_trip(reg):
    reg.text("partner", "set", "partner.test", "--alias", "b.test", "--description", "a, \"b\"; c\td")
    reg.text("partner", "add", "*", "--gateway", "blocked", "--keepalive", "no")
    reg.run("partner", "add", "p.test", "--tls", "none", "--proxy", "[::1]:5270", "--connections", "4294967295")
    reg.sql("UPDATE partner SET description = ? WHERE name = 'p.test'", "two\nlines")
    before = content(reg)
    path = os.path.join(reg.folder, "partners.csv")
    assert reg.json("partner", "export", path) == {"file": path, "exported": 3}
    text = reg.text("partner", "export")
    with open(path, encoding="utf-8") as f:
        assert f.read() == text == reg.text("partner", "export", "-")
    assert text.splitlines()[0] == "name,aliases,gateway,type,tls,sasl,dialback,keepalive,connections,proxy,description"
    assert json.loads(reg.run("--json", "partner", "export").stdout) == before

    document = json.loads(reg.run("--json", "partner", "import", path).stdout)
    assert (document["added"], document["changed"], document["unchanged"]) == (0, 0, 3)
    for name in ("partner.test", "*", "p.test"):
        reg.text("partner", "remove", name)
    document = json.loads(reg.run("--json", "partner", "import", "-", input=text.encode()).stdout)
    assert (document["added"], document["changed"], document["unchanged"]) == (3, 0, 0)
    assert content(reg) == before


def test_import_sets_the_aliases_exactly(reg):
    path = reg.write("p.csv", "name,aliases\npartner.test,new.test other.partner.test\n")
    assert reg.json("partner", "import", path) == {"added": 0, "changed": 1, "unchanged": 0}
    assert content(reg)[0]["aliases"] == ["new.test", "other.partner.test"]
    path = reg.write("p.csv", "name,description\npartner.test,note\n")  # no such column: left alone
    reg.json("partner", "import", path)
    assert content(reg)[0]["aliases"] == ["new.test", "other.partner.test"]
    path = reg.write("p.csv", "name,aliases\npartner.test,\n")
    reg.json("partner", "import", path)
    assert content(reg)[0]["aliases"] == []


LYNC = '''#TYPE Microsoft.Rtc.Management.WritableConfig.Settings.XmppFederation.XmppAllowedPartner
"Identity","Domain","AdditionalDomains","PartnerType","TlsNegotiation","SaslNegotiation","SupportDialbackNegotiation",\
"EnableKeepAlive","ConnectionLimit","ProxyFqdn","Description"
"contoso.test","contoso.test","a.contoso.test;b.contoso.test","Federated","Required","Required","False","True","0","","Contoso, ""the"" partner"
"Gmail.test","Gmail.test","","PublicUnverified","NotSupported","NotSupported","True","False","20","Proxy.Gmail.test","Google Talk"
"plain.test","plain.test",,,,,,,,,
'''


def check_lync(reg):
    contoso, gmail, plain = content(reg)
    assert contoso == {"name": "contoso.test", "gateway": "by-user", "type": "federated", "tls": "required",
                       "sasl": "required", "dialback": False, "keepalive": True, "connections": 0, "proxy": "",
                       "description": 'Contoso, "the" partner', "aliases": ["a.contoso.test", "b.contoso.test"]}
    assert gmail == {"name": "gmail.test", "gateway": "by-user", "type": "public-unverified", "tls": "none",
                     "sasl": "none", "dialback": True, "keepalive": False, "connections": 20,
                     "proxy": "proxy.gmail.test", "description": "Google Talk", "aliases": []}
    assert (plain["type"], plain["tls"], plain["sasl"]) == ("public-unverified", "required", "required")
    assert (plain["dialback"], plain["keepalive"]) == (True, True)


@pytest.mark.parametrize("encode", [
    lambda s: s.encode(),
    lambda s: s.encode("utf-8-sig"),
    lambda s: s.encode("utf-16"),
    lambda s: b"\xfe\xff" + s.encode("utf-16-be"),
    lambda s: s.replace("\n", "\r\n").encode("utf-16"),
    lambda s: s.replace("\n", "\r\n").encode("utf-8-sig"),
    lambda s: s.replace("\n", "\n\n").encode(),
    lambda s: s.rstrip("\n").encode(),
], ids=["utf-8", "bom", "utf-16le", "utf-16be", "utf-16le-crlf", "bom-crlf", "empty-lines", "no-last-newline"])
def test_import_of_a_lync_export(empty, encode):
    path = empty.write("lync.csv", encode(LYNC))
    document = empty.json("partner", "import", path)
    assert (document["added"], document["changed"], document["unchanged"]) == (3, 0, 0)
    assert len(document["warnings"]) == 1 and "partner 'plain.test': dialback will not" in document["warnings"][0]
    check_lync(empty)


def test_import_with_semicolons(empty):
    text = 'Identity;PartnerType;TlsNegotiation\np.test;Federated;Optional\n'
    empty.json("partner", "import", empty.write("p.csv", text))
    assert content(empty)[0]["tls"] == "optional"


def test_import_of_a_lync_export_keeps_what_it_does_not_say(reg):
    reg.text("partner", "set", "partner.test", "--gateway", "bridge")
    text = 'Domain,PartnerType\npartner.test,PublicVerified\n'
    assert reg.json("partner", "import", reg.write("p.csv", text))["changed"] == 1
    p = content(reg)[0]
    assert (p["gateway"], p["type"], p["sasl"], p["aliases"]) \
        == ("bridge", "public-verified", "optional", ["chat.partner.test"])


def test_import_all_or_nothing_with_every_bad_line(reg):
    before = content(reg)
    path = reg.write("p.csv", "name,tls,dialback,connections,aliases\n"
                              "good.test,required,yes,0,\n"
                              "bad name,required,yes,0,\n"
                              "p1.test,sometimes,yes,0,\n"
                              "p2.test,none,no,0,\n"
                              "p3.test,required,yes,many,\n"
                              "p4.test,required,yes,0,chat.partner.test\n"
                              "p5.test,required,yes\n"
                              "p6.test,required,yes,0,a@b\n"
                              "chat.partner.test,required,yes,0,\n")
    document = reg.fails("partner", "import", path)
    for line in (3, 4, 5, 6, 7, 8, 9, 10):
        assert sum(f"p.csv:{line}: " in e for e in document["errors"]) == 1, (line, document)
    assert document["errors"][-1] == "nothing was imported"
    assert len(document["errors"]) == 9
    assert content(reg) == before


@pytest.mark.parametrize("text, says", [
    ("", "the file is empty"),
    ("\n\n", "the file is empty"),
    ("#TYPE x\n", "the file is empty"),
    ("tls,sasl\nrequired,optional\n", "no column 'name', 'Domain' or 'Identity'"),
    ("name,tls\n\"p.test,required\n", "p.csv:2: a quote is not closed"),
    ("name,tls\n\"p.test\"x,required\n", "p.csv:2: text after a closing quote"),
    ("name\np.test\rq.test\n", "stray carriage return"),
    (b"name,description\np.test,M\xfcller\n", "p.csv:2: not UTF-8"),
    (b"name\np\x00.test\n", "p.csv:2: not UTF-8"),
    (b"\xff\xfen\x00a\x00m\x00e\x00\n\x00p", "damaged UTF-16"),
    (b"\xff\xfe\x00\xd8", "damaged UTF-16"),
    (",".join(f"c{i}" for i in range(65)) + "\n", "more than 64 columns"),
    ("Domain,AdditionalDomains\np.test,System.Collections.Generic.List`1[System.String]\n", "name of a type"),
])
def test_files_that_are_none(empty, text, says):
    empty.fails("partner", "import", empty.write("p.csv", text), says=says)
    assert content(empty) == []


def test_missing_files(reg):
    reg.fails("partner", "import", "/none/p.csv", says=["/none/p.csv", "No such file"])
    reg.fails("partner", "import", "/", says="directory")
    reg.fails("partner", "export", "/none/p.csv", says=["/none/p.csv", "No such file"])
    reg.fails("partner", "export", "/dev/full", says="No space left")
