/*
 * base.h - results, checked allocation, and the growing string buffer.
 *
 * Allocation failure aborts the process: custody of a message passes only by
 * acknowledgement, so a crash loses nothing that a peer believes delivered,
 * and no caller needs a path for it.
 */
#ifndef POOLBRIDGE_CORE_BASE_H
#define POOLBRIDGE_CORE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The result of nearly every function. OK is 0; anything else must be handled. */
enum err {
	OK = 0,
	ERR_SYNTAX,    /* the input is not of the form asked for */
	ERR_LIMIT,     /* the input or a queue is beyond a configured limit */
	ERR_NOT_FOUND, /* no such object */
	ERR_EXISTS,    /* the object is there already */
	ERR_REFUSED,   /* a rule forbids it */
	ERR_CONFLICT,  /* the object changed meanwhile */
	ERR_IO,        /* the system or a library failed; the log says how */
	ERR_BUSY,      /* try again later */
	ERR_VERSION    /* the file was written by a newer program */
};

/* A short English phrase for logs and messages; never NULL. */
const char *err_text(enum err e);

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a)          (sizeof(a) / sizeof((a)[0]))

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/*
 * A growing byte buffer that always ends with a NUL (not counted in len).
 * Zero-initialise it; strbuf_free() releases it and leaves it empty again.
 */
struct strbuf {
	char *s; /* NULL until something was added */
	size_t len;
	size_t cap;
};

void strbuf_add(struct strbuf *b, const void *bytes, size_t n);
void strbuf_puts(struct strbuf *b, const char *s);
void strbuf_putc(struct strbuf *b, char c);
void strbuf_printf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_consume(struct strbuf *b, size_t n); /* drop the first n bytes */
void strbuf_reset(struct strbuf *b);             /* len = 0, memory kept */
void strbuf_free(struct strbuf *b);
char *strbuf_take(struct strbuf *b); /* the caller owns the string; never NULL */

/* Bounded copy for fixed fields: false, and an empty field, when it does not fit. */
bool str_copy(char *to, size_t size, const char *from);

#endif
