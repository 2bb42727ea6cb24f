/* hello.c - see hello.h. */
#include "bench/hello.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/end_xml.h"
#include "bench/peer_options.h"

enum { DOMAIN_SIZE = 32 };

void hello_stream(struct connection *c)
{
	char id[48];

	snprintf(id, sizeof(id), "s%u-%lld", c->id, (long long)end_now());
	end_xml_header(&c->out, peer_options.domain, peer_options.remote, c->inbound ? id : NULL);
}

void hello_component(struct connection *c)
{
	strbuf_printf(&c->out,
		      "<stream:stream xmlns='jabber:component:accept' "
		      "xmlns:stream='http://etherx.jabber.org/streams' to='%s'>",
		      peer_options.domain);
}

void hello_host(struct connection *c)
{
	strbuf_printf(&c->out,
		      "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' "
		      "xmlns:stream='http://etherx.jabber.org/streams' from='%s' id='s%u'>",
		      peer_options.remote, c->id);
}

void hello_handshake(struct connection *c, const char *id)
{
	char *text = xasprintf("%s%s", id ? id : "", peer_options.secret);
	unsigned char digest[SHA_DIGEST_LENGTH];

	SHA1((const unsigned char *)text, strlen(text), digest);
	strbuf_puts(&c->out, "<handshake>");
	for (size_t i = 0; i < sizeof(digest); i++)
		strbuf_printf(&c->out, "%02x", digest[i]);
	strbuf_puts(&c->out, "</handshake>");
	free(text);
}

void hello_features(struct connection *c, bool trusted)
{
	struct strbuf *out = &c->out;
	bool secured = c->ssl != NULL;

	strbuf_puts(out, "<stream:features>");
	if (peer_options.server_tls && !secured)
		strbuf_puts(out, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
	else if (peer_options.external && !trusted)
		strbuf_puts(
			out,
			"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
			"</mechanisms>");
	strbuf_puts(out, "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>");
	if (peer_options.sm)
		strbuf_puts(out, "<sm xmlns='urn:xmpp:sm:3'/>");
	strbuf_puts(out, "</stream:features>");
}

void hello_auth(struct connection *c)
{
	unsigned char name[4 * DOMAIN_SIZE];
	int n = EVP_EncodeBlock(name, (const unsigned char *)peer_options.domain,
				(int)strlen(peer_options.domain));

	strbuf_printf(&c->out,
		      "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%.*s</auth>", n,
		      name);
}
