/*
 * fingerprint.c - SipHash, keyed, over what names a message.
 *
 * The parts are joined by a byte that none of them holds. A name never stands for
 * a content, nor a stanza for a request: each begins with a letter of its own.
 *
 * Owns a buffer that is used again and again. Nothing fails.
 */
#include "bridge/route/fingerprint.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/siphash.h"

struct fingerprint {
	unsigned char key[SEEN_KEY_SIZE];
	struct strbuf buffer;
};

struct fingerprint *fingerprint_create(const unsigned char key[SEEN_KEY_SIZE])
{
	struct fingerprint *f = xcalloc(1, sizeof(*f));

	memcpy(f->key, key, sizeof(f->key));
	return f;
}

void fingerprint_destroy(struct fingerprint *f)
{
	if (f == NULL)
		return;
	strbuf_free(&f->buffer);
	free(f);
}

/* Never 0, which means something else (db/seen.h). */
static uint64_t hash(struct fingerprint *f)
{
	const uint64_t value = siphash(f->key, f->buffer.s, f->buffer.len);

	return value != 0 ? value : 1;
}

static void begin(struct fingerprint *f, char kind)
{
	strbuf_reset(&f->buffer);
	strbuf_putc(&f->buffer, kind);
}

/* With its NUL. */
static void add(struct fingerprint *f, const char *part)
{
	strbuf_add(&f->buffer, part, strlen(part) + 1);
}

static void add_jid(struct fingerprint *f, const struct jid *jid)
{
	add(f, jid->local);
	add(f, jid->domain);
	add(f, jid->resource);
}

uint64_t fingerprint_name(struct fingerprint *f, const struct jid *from, const char *id)
{
	begin(f, 'n');
	add_jid(f, from);
	add(f, id);
	return hash(f);
}

/* A room sends its history again with the same ids, to everybody who comes back. */
static bool is_looked_for(const struct stanza *s)
{
	return s->kind == STANZA_MESSAGE && s->id != NULL && s->id[0] != '\0' &&
	       !stanza_has_type(s, "error") && !stanza_has_type(s, "headline") &&
	       !stanza_has_type(s, "groupchat");
}

bool fingerprint_stanza(struct fingerprint *f, const struct stanza *stanza, const struct jid *from,
			uint64_t *name)
{
	if (!is_looked_for(stanza))
		return false;
	*name = fingerprint_name(f, from, stanza->id);
	return true;
}

bool fingerprint_content(struct fingerprint *f, const struct stanza *stanza, const struct jid *to,
			 uint64_t *content)
{
	begin(f, 'c');
	add_jid(f, to);
	if (!stanza_texts(stanza, &f->buffer))
		return false;
	*content = hash(f);
	return true;
}

void fingerprint_request(struct fingerprint *f, const struct sip_request *request, struct seen_hash *out)
{
	begin(f, 'r');
	add(f, request->call_id);
	add(f, request->from_tag != NULL ? request->from_tag : "");
	strbuf_printf(&f->buffer, "%u %s", request->cseq, request->method);
	out->name = hash(f);
	begin(f, 'b');
	add(f, request->from_uri);
	add(f, request->to_uri != NULL ? request->to_uri : "");
	strbuf_add(&f->buffer, request->body, request->body_size);
	out->content = hash(f);
}
