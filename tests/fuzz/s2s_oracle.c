/*
 * s2s_oracle.c - who has proved what, found without asking the code under test:
 * from the bytes on every connection, the certificates and the registry.
 *
 * A pair counts as proved in the present TLS phase of a connection only. By
 * SASL: we said success, and the certificate was good for the stream's 'from'.
 * By dialback: we said that the pair is valid, and before that its authority
 * said so to our question about this very stream.
 */
#include "tests/fuzz/s2s_world.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/xml_canon.h"

static size_t segment_end(const struct sock *s, size_t i)
{
	return i + 1 < s->segment_count ? s->segments[i + 1] : s->out.len;
}

static bool said(const struct sock *s, size_t i, const char *text)
{
	return memmem(s->out.s + s->segments[i], segment_end(s, i) - s->segments[i], text, strlen(text)) !=
	       NULL;
}

/* The stream's own pair, as our header has it. */
static bool is_stream_of(const struct sock *s, size_t i, const char *local, const char *remote)
{
	char *addresses = xasprintf(" from='%s' to='%s'", local, remote);
	const char *start = s->out.s + s->segments[i];
	const char *header = memmem(start, segment_end(s, i) - s->segments[i], "<stream:stream", 14);
	const bool result =
		header != NULL && memmem(header, strcspn(header, ">"), addresses, strlen(addresses)) != NULL;

	free(addresses);
	return result;
}

/* The peer's certificate was judged, for this domain, and found good. */
static bool is_certified(const struct sock *s, const char *remote)
{
	return s->secured && strcmp(s->certified, remote) == 0 &&
	       (s->trust == CERTIFICATE_TRUSTED || s->trust == CERTIFICATE_DANE);
}

static bool has_sasl(const struct sock *s, const char *local, const char *remote)
{
	const size_t last = s->segment_count - 1;

	return !s->client && last > s->tls_segment &&
	       said(s, last - 1, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>") &&
	       is_stream_of(s, last, local, remote) && is_certified(s, remote);
}

/* The authority was asked about id, and what it said since holds both the id and the word. */
static bool is_confirmed(const char *id, const char *local, const char *remote)
{
	char *question = xasprintf("<db:verify from='%s' to='%s' id='%s'>", local, remote, id);
	const struct sock *s;
	bool found = false;

	for (s = world.socks; s != NULL && !found; s = s->next)
		found = strbuf_has(&s->out, 0, question) && strbuf_has(&s->in, s->tls_in, id) &&
			strbuf_has(&s->in, s->tls_in, "valid");
	free(question);
	return found;
}

static bool is_confirmed_segment(const struct sock *s, size_t i, const char *local, const char *remote)
{
	const char *start = memmem(s->out.s + s->segments[i], segment_end(s, i) - s->segments[i], " id='", 5);
	char id[33] = "";

	if (start == NULL || (size_t)(s->out.s + s->out.len - start) < 5 + sizeof(id))
		return false;
	memcpy(id, start + 5, sizeof(id) - 1);
	return is_confirmed(id, local, remote);
}

static bool has_verdict(const struct sock *s, size_t i, const char *local, const char *remote)
{
	char *verdict =
		xasprintf("<{jabber:server:dialback\xFFresult} from=\"%s\" to=\"%s\" type=\"valid\"></>",
			  local, remote);
	char *elements[CANON_MAX];
	const size_t count =
		xml_canon(s->out.s + s->segments[i], segment_end(s, i) - s->segments[i], elements);
	bool found = count == CANON_MAX; /* more than can be known */

	for (size_t n = 0; n < count; n++) {
		found = found || strcmp(elements[n], verdict) == 0;
		free(elements[n]);
	}
	free(verdict);
	return found;
}

static bool has_dialback(const struct sock *s, const char *local, const char *remote)
{
	for (size_t i = s->tls_segment; i < s->segment_count; i++)
		if (!s->client && has_verdict(s, i, local, remote) &&
		    is_confirmed_segment(s, i, local, remote))
			return true;
	return false;
}

/* Our own stream, and the peer may use it, too: we asked it to, knowing who it is. */
static bool is_bidirectional(const struct sock *s, const char *local, const char *remote)
{
	return s->client && s->secured && is_certified(s, remote) &&
	       is_stream_of(s, s->segment_count - 1, local, remote) &&
	       strbuf_has(&s->out, s->segments[s->tls_segment], "<bidi xmlns='urn:xmpp:bidi'/>") &&
	       (strbuf_has(&s->in, s->tls_in, "success") || strbuf_has(&s->in, s->tls_in, "valid"));
}

/* A component's server vouches for everybody but those whom we know to be ours. */
static bool is_component_of(const struct sock *s, const char *local, const char *remote)
{
	return strcmp(local, "branch.test") == 0 &&
	       (strcmp(remote, "corp.test") != 0 || world.registry_fails) && strcmp(remote, local) != 0 &&
	       strbuf_has(&s->out, 0, "<handshake>") && strbuf_has(&s->in, 0, "handshake");
}

bool oracle_has_proved(const struct sock *s, const char *local, const char *remote)
{
	if (s->client && strbuf_has(&s->out, 0, " xmlns='jabber:component:accept'"))
		return is_component_of(s, local, remote);
	if (s->segment_count == 0 || s->segment_count <= s->tls_segment ||
	    strcmp(remote, "blocked.test") == 0)
		return false;
	if (!s->secured && (strcmp(remote, "tls.test") == 0 || strcmp(remote, "strict.test") == 0))
		return false;
	if (strcmp(remote, "strict.test") == 0)
		return has_sasl(s, local, remote) || is_bidirectional(s, local, remote);
	return has_sasl(s, local, remote) || has_dialback(s, local, remote) ||
	       is_bidirectional(s, local, remote);
}
