/*
 * endpoint_header.c - how long a header may be.
 *
 * COMPAT: sofia-sip bounds neither the lines of a header nor its bytes, and
 * looks for the end of a list with each header field that it adds to it: a
 * datagram of 64 KB costs it a second, and 2 MB on a connection many minutes.
 * Responses come from anybody (see peers.c), so that is anybody's to send. Its
 * msg_extract() is replaced here by one that looks at what it would read, as in
 * endpoint_method.c, and then calls it. What is too much becomes blanks, and
 * the message is marked as too large: a request is answered 413, of a response
 * what came first is taken, a connection is closed.
 *
 * Keeps nothing. A library without that function ends the start.
 */
#include "bridge/sip/endpoint_internal.h"

#include <dlfcn.h>
#include <string.h>

#include <sofia-sip/msg_buffer.h>
#include <sofia-sip/msg_header.h>

/* Record-Routes, capabilities and a text in an INVITE are a fraction of it. */
enum { HEADER_LINES = 500, HEADER_BYTES = 32 * 1024 };

typedef int extract_fn(msg_t *msg);

static extract_fn *library_extract;

/* True: they are. Not done at first use, so that this file is there at all: nobody else names what is in it. */
bool endpoint_bound_headers(void)
{
	*(void **)&library_extract = dlsym(RTLD_NEXT, "msg_extract");
	return library_extract != NULL;
}

/* Of a header: what was read of it before. */
struct length {
	size_t lines, bytes;
};

static struct length read_before(const msg_t *msg)
{
	struct length length = { 0 };

	if (!msg_get_flags((msg_t *)(uintptr_t)msg, MSG_FLG_HEADERS))
		return length;
	for (const msg_header_t *h = *msg_chain_head(msg); h != NULL; h = h->sh_succ) {
		length.lines++;
		length.bytes += h->sh_len;
	}
	return length;
}

/* To the start of the next line, as sofia-sip sees it: CR, LF or both end one. */
static char *next_line(char *line, const char *end)
{
	while (line < end && *line != '\r' && *line != '\n')
		line++;
	if (line + 1 < end && line[0] == '\r' && line[1] == '\n')
		return line + 2;
	return line < end ? line + 1 : line;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What is too much, in the bytes that are there: up to the empty line, or to their end. False: nothing is. */
static bool find_surplus(char *line, char *end, struct length length, bool begun, char **from, char **to)
{
	const char *first;

	while (!begun && line < end && is_blank(*line))
		line++;
	first = line;
	*from = NULL;
	while (line < end && (line == first && !begun ? true : *line != '\r' && *line != '\n')) {
		char *next = next_line(line, end);

		length.lines++;
		length.bytes += (size_t)(next - line);
		if (*from == NULL && (length.lines > HEADER_LINES || length.bytes > HEADER_BYTES))
			*from = line;
		line = next;
	}
	*to = line;
	return *from != NULL;
}

/* Blanks within a line, or behind it, add nothing to it. */
static void blank(char *from, const char *to)
{
	while (to > from && (to[-1] == '\r' || to[-1] == '\n'))
		to--;
	memset(from, ' ', (size_t)(to - from));
}

int msg_extract(msg_t *msg)
{
	const bool in_header = msg != NULL && msg_buf_committed_data(msg) != NULL &&
			       !msg_get_flags(msg, MSG_FLG_BODY | MSG_FLG_TRAILERS | MSG_FLG_COMPLETE);
	const bool begun = in_header && msg_get_flags(msg, MSG_FLG_HEADERS);
	char *bytes = in_header ? msg_buf_committed_data(msg) : NULL;
	char *from, *to;

	if (!in_header ||
	    !find_surplus(bytes, bytes + msg_buf_committed(msg), read_before(msg), begun, &from, &to))
		return library_extract(msg);
	blank(from, to);
	(void)library_extract(msg);
	msg_mark_as_complete(msg, MSG_FLG_ERROR | MSG_FLG_TOOLARGE);
	return -1;
}
