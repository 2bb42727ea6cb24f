/*
 * endpoint_merge.c - requests that come here twice, by two ways (RFC 3261
 * section 8.2.2.2).
 *
 * sofia-sip can tell, but asks before us, and would refuse a request that only
 * passes through here twice, aimed at somebody else the second time, which is
 * legal (a spiral, section 16.3). So what is taken as a user agent is remembered
 * here by Call-ID, CSeq and From tag, as long as a transaction may last.
 *
 * Owns the memory of these requests: at most sip.queue_total, the oldest goes.
 * Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "bridge/core/hash.h"

struct taken {
	int64_t until;
	struct taken *prev, *next; /* the oldest first */
	UT_hash_handle hh;
	char key[];
};

struct endpoint_merge {
	struct taken *by_key, *by_age;
	size_t count;
};

static void forget(struct endpoint_merge *m, struct taken *t)
{
	HASH_DEL(m->by_key, t);
	DL_DELETE(m->by_age, t);
	m->count--;
	free(t);
}

static void add(struct endpoint_merge *m, const char *key, int64_t until)
{
	struct taken *t = xcalloc(1, sizeof(*t) + strlen(key) + 1);

	t->until = until;
	strcpy(t->key, key);
	HASH_ADD_STR(m->by_key, key, t);
	DL_APPEND(m->by_age, t);
	m->count++;
}

bool endpoint_is_merged(struct sip_endpoint *ep, const sip_t *sip)
{
	struct endpoint_merge *m = ep->merge;
	const char *tag = sip->sip_from->a_tag;
	char *key = endpoint_invite_key(sip->sip_call_id->i_id, sip->sip_cseq->cs_seq, tag != NULL ? tag : "",
					sip->sip_cseq->cs_method_name);
	const int64_t now = loop_now(ep->loop);
	struct taken *known = NULL;

	while (m->by_age != NULL &&
	       (m->by_age->until <= now || m->count >= (size_t)ep->config->sip.queue_total))
		forget(m, m->by_age);
	HASH_FIND_STR(m->by_key, key, known);
	if (known == NULL)
		add(m, key, now + 64 * (int64_t)ep->t1_ms);
	free(key);
	return known != NULL;
}

struct endpoint_merge *endpoint_merge_create(void)
{
	return xcalloc(1, sizeof(struct endpoint_merge));
}

void endpoint_merge_destroy(struct endpoint_merge *m)
{
	while (m != NULL && m->by_age != NULL)
		forget(m, m->by_age);
	free(m);
}
