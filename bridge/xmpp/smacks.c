/*
 * smacks.c - counters and the window of stream management.
 *
 * The window is a ring of bits: a stanza's bit is set when it is finished and
 * cleared when the prefix has passed it, so the ring is clean where it is used
 * again.
 */
#include "bridge/xmpp/smacks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mask(uint64_t number)
{
	return UINT64_C(1) << (number % 64);
}

static uint64_t *word(struct sm_received *r, uint64_t number)
{
	return &r->done[number % SM_ROOM / 64];
}

uint64_t sm_receive(struct sm_received *r)
{
	return r->received++;
}

bool sm_is_full(const struct sm_received *r)
{
	return r->received - r->finished >= SM_WINDOW;
}

void sm_finish(struct sm_received *r, uint64_t number)
{
	if (number < r->finished || number >= r->received)
		return;
	*word(r, number) |= mask(number);
	while (r->finished < r->received && (*word(r, r->finished) & mask(r->finished))) {
		*word(r, r->finished) &= ~mask(r->finished);
		r->finished++;
	}
}

uint32_t sm_tell(struct sm_received *r)
{
	r->told = r->finished;
	return (uint32_t)r->finished;
}

void sm_ask(struct sm_received *r)
{
	r->asked = r->received;
}

bool sm_is_owed(const struct sm_received *r)
{
	return r->told < r->asked && r->finished >= r->asked;
}

enum err sm_parse_h(const char *text, uint32_t *out)
{
	size_t n = strlen(text);
	unsigned long long value;

	if (n == 0 || n > 10 || strspn(text, "0123456789") != n)
		return ERR_SYNTAX;
	value = strtoull(text, NULL, 10);
	if (value > UINT32_MAX)
		return ERR_SYNTAX;
	*out = (uint32_t)value;
	return OK;
}

enum err sm_acknowledged(uint64_t sent, uint64_t acked, uint32_t h, uint64_t *out)
{
	uint32_t step = h - (uint32_t)acked; /* modulo 2^32 */

	if (step > sent - acked)
		return ERR_LIMIT;
	*out = acked + step;
	return OK;
}
