/*
 * strbuf.c - the growing byte buffer of base.h.
 *
 * The memory doubles, so n appended bytes cost O(n); the NUL behind the last
 * byte is always there once anything was added. The buffer owns its memory
 * until strbuf_take() or strbuf_free().
 *
 * Bytes given to a buffer may lie inside the same buffer: growing would move
 * them away under memcpy(), so grow_for() notes where they were.
 *
 * Fatal: an allocation that fails, a length that overflows.
 */
#include "bridge/core/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 64 };

/* Make room for extra bytes and the NUL. */
static void grow(struct strbuf *b, size_t extra)
{
	size_t need, cap;

	if (extra >= SIZE_MAX / 2 - b->len)
		abort();
	need = b->len + extra + 1;
	if (need <= b->cap)
		return;
	cap = b->cap > 0 ? b->cap : FIRST_CAP;
	while (cap < need)
		cap *= 2;
	b->s = xrealloc(b->s, cap);
	b->cap = cap;
}

/* grow(), and where the bytes are afterwards: they may be part of the buffer itself. */
static const void *grow_for(struct strbuf *b, const void *bytes, size_t n)
{
	uintptr_t at = (uintptr_t)bytes, start = (uintptr_t)b->s;
	bool inside = b->s != NULL && at >= start && at < start + b->cap;

	grow(b, n);
	return inside ? b->s + (at - start) : bytes;
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t n)
{
	if (n >= b->cap - b->len)
		bytes = grow_for(b, bytes, n);
	if (n > 0)
		memmove(b->s + b->len, bytes, n);
	b->len += n;
	b->s[b->len] = '\0';
}

void strbuf_puts(struct strbuf *b, const char *s)
{
	strbuf_add(b, s, strlen(s));
}

void strbuf_putc(struct strbuf *b, char c)
{
	strbuf_add(b, &c, 1);
}

void strbuf_printf(struct strbuf *b, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		abort();
	grow(b, (size_t)n);
	va_start(args, fmt);
	vsnprintf(b->s + b->len, (size_t)n + 1, fmt, args);
	va_end(args);
	b->len += (size_t)n;
}

void strbuf_consume(struct strbuf *b, size_t n)
{
	if (n > b->len)
		abort();
	if (n == 0)
		return;
	memmove(b->s, b->s + n, b->len - n + 1);
	b->len -= n;
}

void strbuf_reset(struct strbuf *b)
{
	b->len = 0;
	if (b->s != NULL)
		b->s[0] = '\0';
}

void strbuf_free(struct strbuf *b)
{
	free(b->s);
	*b = (struct strbuf){ NULL, 0, 0 };
}

char *strbuf_take(struct strbuf *b)
{
	char *s;

	grow(b, 0);
	b->s[b->len] = '\0';
	s = b->s;
	*b = (struct strbuf){ NULL, 0, 0 };
	return s;
}
