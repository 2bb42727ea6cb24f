/*
 * ackmarks.c - the queue of marks of ackmarks.h.
 *
 * A mark is made for each TLS record written, and dropped when the peer has
 * it, so the queue is as long as the kernel's send buffer has records. An idle
 * stream holds no memory here.
 *
 * Fatal: an allocation that fails.
 */
#include "bridge/xmpp/ackmarks.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 16 };

bool ackmarks_full(const struct ackmarks *m)
{
	return m->first + m->count == m->cap;
}

static void make_room(struct ackmarks *m)
{
	if (m->first > m->cap / 2) {
		memmove(m->mark, m->mark + m->first, m->count * sizeof(*m->mark));
		m->first = 0;
		return;
	}
	m->cap = m->cap > 0 ? m->cap * 2 : FIRST_CAP;
	m->mark = xrealloc(m->mark, m->cap * sizeof(*m->mark));
}

void ackmarks_add(struct ackmarks *m, uint64_t app, uint64_t wire)
{
	if (ackmarks_full(m))
		make_room(m);
	m->mark[m->first + m->count] = (struct ackmark){ .app = app, .wire = wire };
	m->count++;
}

uint64_t ackmarks_settle(struct ackmarks *m, uint64_t wire)
{
	while (m->count > 0 && m->mark[m->first].wire <= wire) {
		m->acked = m->mark[m->first].app;
		m->first++;
		m->count--;
	}
	if (m->count == 0)
		ackmarks_free(m);
	return m->acked;
}

void ackmarks_free(struct ackmarks *m)
{
	free(m->mark);
	m->mark = NULL;
	m->first = m->count = m->cap = 0;
}
