/*
 * log.c - one line per event on standard error, written with one write(2), so
 * that lines of several processes do not mix.
 *
 * What it does not do: no time stamps (the journal and every supervisor add
 * their own), no files, no rotation, no threads.
 *
 * Two fences keep a value from forging a line: log_value() escapes it, and
 * log_write() sweeps the finished line, should a caller forget.
 *
 * It never waits for its reader: what a full pipe or journal does not take is left
 * out and counted, and the count is the first line when there is room again.
 *
 * Nothing is fatal here: where standard error is gone, the event is lost.
 */
#include "bridge/core/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINE_SIZE = 16384, /* eight values, each byte escaped, and the fixed words */
	CHUNK = 4096,
	VALUE_MAX = 256,               /* bytes of a value that are shown */
	VALUE_SIZE = 4 * VALUE_MAX + 8 /* every byte as \xNN, the quotes, "..." */
};

static const struct {
	const char *name;
	int priority; /* of syslog(3), for the journal */
} levels[] = {
	[LOG_ERROR] = { "error", 3 }, [LOG_WARNING] = { "warning", 4 }, [LOG_NOTICE] = { "notice", 5 },
	[LOG_INFO] = { "info", 6 },   [LOG_DEBUG] = { "debug", 7 },
};

enum log_level log_threshold = LOG_INFO;
static bool to_journal;
static unsigned long lost; /* lines, since the last one that was written */
static bool cut;           /* that one was not written to its end */

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

enum log_level log_get_level(void)
{
	return log_threshold;
}

void log_set_journal(bool on)
{
	to_journal = on;
}

/* The length after an append by snprintf() that may have been cut. */
static size_t advance(size_t len, int n, size_t size)
{
	if (n < 0)
		return len;
	return (size_t)n < size - len ? len + (size_t)n : size - 1;
}

/* What a pipe that has room takes without waiting is CHUNK bytes (PIPE_BUF). */
static ssize_t write_some(const char *bytes, size_t n)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };
	ssize_t put = send(STDERR_FILENO, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put >= 0 || errno != ENOTSOCK)
		return put;
	return poll(&out, 1, 0) == 1 ? write(STDERR_FILENO, bytes, n < CHUNK ? n : CHUNK) : -1;
}

/* False: somebody would have to wait. */
static bool write_now(const char *bytes, size_t n)
{
	ssize_t put;

	for (size_t at = 0; at < n; at += (size_t)put) {
		put = write_some(bytes + at, n - at);
		if (put <= 0) {
			cut = cut || at > 0;
			return false;
		}
	}
	return true;
}

static void write_line(const char *line, size_t n)
{
	char words[96];
	int size = snprintf(words, sizeof(words), "%s%swarning log-lost lines=%lu\n", cut ? "\n" : "",
			    to_journal ? "<4>" : "", lost);

	if (lost > 0 && write_now(words, (size_t)size)) {
		lost = 0;
		cut = false;
	}
	if (lost > 0 || !write_now(line, n))
		lost++;
}

void log_write(enum log_level level, const char *event, const char *id, const char *fmt, ...)
{
	char line[LINE_SIZE];
	const size_t size = sizeof(line) - 1; /* one byte is kept for the newline */
	size_t len = 0;
	va_list args;

	if (to_journal)
		len = advance(len, snprintf(line, size, "<%d>", levels[level].priority), size);
	len = advance(len, snprintf(line + len, size - len, "%s %s", levels[level].name, event), size);
	if (id != NULL)
		len = advance(len, snprintf(line + len, size - len, " id=%s", id), size);
	if (fmt != NULL) {
		len = advance(len, snprintf(line + len, size - len, " "), size);
		va_start(args, fmt);
		len = advance(len, vsnprintf(line + len, size - len, fmt, args), size);
		va_end(args);
	}
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	write_line(line, len);
}

static bool is_plain(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._@/:;+-", c) != NULL);
}

/*
 * The length of the UTF-8 character at s (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF), its code point in *out; 0 when there is none.
 */
static size_t utf8_char(const unsigned char *s, uint32_t *out)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80   ? 1
		   : s[0] < 0xc2 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
		   : s[0] < 0xf5 ? 4
				 : 0;
	uint32_t c;

	if (n == 0)
		return 0;
	c = n == 1 ? s[0] : s[0] & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0; /* the terminating NUL stops here too */
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[n] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return 0;
	*out = c;
	return n;
}

/* Characters that a terminal or a viewer would obey instead of showing: controls, line separators, bidi marks. */
static bool is_deceptive(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* One character, or one byte that is none, into the value; the count of bytes read. */
static size_t escape(const unsigned char *s, char *out, size_t *len)
{
	uint32_t c = 0;
	size_t n = utf8_char(s, &c);

	if (n == 0 || is_deceptive(c)) {
		n = n == 0 ? 1 : n;
		for (size_t i = 0; i < n; i++)
			*len += (size_t)sprintf(out + *len, "\\x%02x", s[i]);
		return n;
	}
	if (c == '"' || c == '\\')
		out[(*len)++] = '\\';
	memcpy(out + *len, s, n);
	*len += n;
	return n;
}

const char *log_value(const char *value)
{
	static char slots[8][VALUE_SIZE];
	static size_t next;
	char *out = slots[next++ % ARRAY_SIZE(slots)];
	const unsigned char *s = (const unsigned char *)(value != NULL ? value : "");
	size_t at = 0, len = 0, limit;

	while (at < VALUE_MAX && is_plain(s[at]))
		at++;
	if (at > 0 && s[at] == '\0') {
		memcpy(out, s, at + 1);
		return out;
	}
	out[len++] = '"';
	/* Where it is cut, a character, at most 4 bytes, is shown whole or not at all. */
	limit = strnlen((const char *)s, VALUE_MAX + 1) <= VALUE_MAX ? VALUE_MAX : VALUE_MAX - 4;
	for (at = 0; s[at] != '\0' && at <= limit;)
		at += escape(s + at, out, &len);
	out[len++] = '"';
	strcpy(out + len, s[at] != '\0' ? "..." : "");
	return out;
}
