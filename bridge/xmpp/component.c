/*
 * component.c - what a component says and sends differently from a server
 * (XEP-0114).
 *
 * SHA-1 is what the protocol has; all that hangs on it is that who reads the
 * handshake cannot find the secret. He could read the stanzas, too: the
 * connection belongs on a trusted network.
 *
 * Keeps no state. Fatal: an OpenSSL without SHA-1.
 */
#include "bridge/xmpp/component.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/xmpp/xmlstream.h"

void component_handshake(const char *stream_id, const char *secret, char out[COMPONENT_HANDSHAKE_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	struct strbuf text = { 0 };

	strbuf_puts(&text, stream_id);
	strbuf_puts(&text, secret);
	if (EVP_Digest(text.s != NULL ? text.s : "", text.len, digest, &size, EVP_sha1(), NULL) != 1 ||
	    2 * size + 1 != COMPONENT_HANDSHAKE_SIZE)
		abort();
	for (size_t i = 0; i < size; i++) {
		*out++ = digits[digest[i] >> 4];
		*out++ = digits[digest[i] & 15];
	}
	*out = '\0';
	strbuf_free(&text);
}

static void on_open(void *ctx, const struct xml_header *header)
{
	(void)ctx;
	(void)header;
}

/* A stanza in memory is one of jabber:server by definition, whatever stream its bytes are for. */
static void on_element(void *ctx, const struct xml_element *element)
{
	struct stanza **out = ctx;
	struct xml_element renamed = *element;

	renamed.ns = strcmp(element->ns, NS_COMPONENT) == 0 ? NS_SERVER : element->ns;
	if (*out == NULL && stanza_from_element(&renamed, out) != OK)
		*out = NULL;
}

static void on_close(void *ctx)
{
	(void)ctx;
}

enum err component_stanza(struct stanza *stanza, struct stanza **out)
{
	static const char header[] = "<stream:stream xmlns='" NS_SERVER "' xmlns:stream='" NS_STREAMS "'>";
	static const struct xmlstream_ops ops = { .open = on_open, .element = on_element, .close = on_close };
	/* They were checked when the stanza came in. */
	static const struct xmlstream_limits none = { SIZE_MAX / 2, UINT32_MAX, UINT32_MAX, UINT32_MAX };
	struct stanza *renamed = NULL;
	struct xmlstream *x;
	enum err e;
	size_t used;

	/* The common case: no namespace is declared at all. */
	if (memmem(stanza->bytes, stanza->size, "xmlns", 5) == NULL) {
		*out = stanza_ref(stanza);
		return OK;
	}
	x = xmlstream_create(NS_SERVER, NS_COMPONENT, &none, &ops, &renamed);
	e = xmlstream_feed(x, header, sizeof(header) - 1, &used);
	if (e == OK)
		e = xmlstream_feed(x, stanza->bytes, stanza->size, &used);
	xmlstream_destroy(x);
	if (e != OK || renamed == NULL) {
		stanza_unref(renamed);
		return ERR_SYNTAX;
	}
	*out = renamed;
	return OK;
}
