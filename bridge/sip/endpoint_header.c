/*
 * endpoint_header.c - how long a header may be, and where its lines end.
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
 * COMPAT: it also takes a CR or an LF alone for the end of a line, and two of
 * them for the end of the header. A pool that does not (RFC 3261 section 7 wants
 * both) passes them on within a field: what its user wrote behind them would be a
 * field here, or a whole request that the pool has never seen. From the line that
 * has one on everything becomes blanks, and a request is answered 400; behind it
 * nothing is read on that connection. So it is with a NUL, at which it would wait for
 * more for ever, and for all that the pool sends behind it.
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

/*
 * To the start of the next line, as sofia-sip sees it: CR, LF or both end one. Loose: one alone, or a NUL. While the
 * byte behind a CR is not there, that is not known.
 */
static char *next_line(char *line, const char *end, bool *loose)
{
	while (line < end && *line != '\r' && *line != '\n' && *line != '\0')
		line++;
	*loose = false;
	if (line == end)
		return line;
	if (line + 1 < end && line[0] == '\r' && line[1] == '\n')
		return line + 2;
	*loose = *line != '\r' || line + 1 < end;
	return line + 1;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct fault {
	unsigned flags; /* of sofia-sip; 0: none */
	char *from, *to;
};

/* In the bytes that are there, up to the empty line or to their end. */
static struct fault find_fault(char *line, char *end, struct length length, bool begun)
{
	struct fault fault = { 0 };
	bool loose = false;

	while (!begun && line < end && is_blank(*line))
		line++;
	while (line < end) {
		const bool is_empty = *line == '\r' || *line == '\n';
		char *next = next_line(line, end, &loose);

		if (is_empty || loose)
			break;
		length.lines++;
		length.bytes += (size_t)(next - line);
		if (fault.flags == 0 && (length.lines > HEADER_LINES || length.bytes > HEADER_BYTES))
			fault = (struct fault){ .flags = MSG_FLG_TOOLARGE, .from = line };
		line = next;
	}
	fault.to = loose ? end : line;
	if (loose && fault.flags == 0)
		fault.from = line;
	fault.flags |= loose ? MSG_FLG_ERROR : 0;
	return fault;
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
	struct fault fault = { 0 };

	if (in_header)
		fault = find_fault(bytes, bytes + msg_buf_committed(msg), read_before(msg), begun);
	if (fault.flags == 0)
		return library_extract(msg);
	blank(fault.from, fault.to);
	(void)library_extract(msg);
	msg_mark_as_complete(msg, MSG_FLG_ERROR | fault.flags);
	return -1;
}
