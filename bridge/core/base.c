/*
 * base.c - the phrases of enum err, checked allocation, bounded copies.
 *
 * Running out of memory ends the process here and nowhere else: a peer believes
 * delivered only what was acknowledged, so nothing is lost by it, and no caller
 * carries a path that no test could reach. The string buffer is in strbuf.c.
 *
 * Fatal: an allocation that fails, a size that overflows.
 */
#include "bridge/core/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *err_text(enum err e)
{
	switch (e) {
	case OK:
		return "success";
	case ERR_SYNTAX:
		return "malformed input";
	case ERR_LIMIT:
		return "limit exceeded";
	case ERR_NOT_FOUND:
		return "not found";
	case ERR_EXISTS:
		return "exists already";
	case ERR_REFUSED:
		return "refused by a rule";
	case ERR_CONFLICT:
		return "changed meanwhile";
	case ERR_IO:
		return "input or output failed";
	case ERR_BUSY:
		return "busy, try again later";
	case ERR_VERSION:
		return "written by a newer program";
	}
	return "unknown result";
}

/* No stdio: it may want memory itself. */
static _Noreturn void out_of_memory(void)
{
	static const char line[] = "error out-of-memory\n";

	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		_exit(EXIT_FAILURE);
	abort();
}

void *xmalloc(size_t size)
{
	void *p = malloc(size > 0 ? size : 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xcalloc(size_t count, size_t size)
{
	/* calloc() itself refuses a product that overflows. */
	void *p = count > 0 && size > 0 ? calloc(count, size) : calloc(1, 1);

	if (p == NULL)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t size)
{
	void *q = realloc(p, size > 0 ? size : 1);

	if (q == NULL)
		out_of_memory();
	return q;
}

char *xstrdup(const char *s)
{
	size_t size = strlen(s) + 1;

	return memcpy(xmalloc(size), s, size);
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list args;
	char *p;
	int n;

	va_start(args, fmt);
	n = vasprintf(&p, fmt, args);
	va_end(args);
	if (n < 0)
		out_of_memory();
	return p;
}

bool str_copy(char *to, size_t size, const char *from)
{
	size_t len = strlen(from);

	if (size == 0)
		return false;
	if (len >= size) {
		to[0] = '\0';
		return false;
	}
	memmove(to, from, len + 1);
	return true;
}
