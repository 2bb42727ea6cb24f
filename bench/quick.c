/* quick.c - see quick.h. */
#include "bench/quick.h"

#include <string.h>

static const char begin[] = "<message", end[] = "</message>", body[] = "<body>";

/* Up to where nothing of it can be the beginning of a message. */
static size_t before_message(const char *data, size_t size)
{
	const char *found = memmem(data, size, begin, strlen(begin));

	if (found != NULL)
		return (size_t)(found - data);
	for (size_t n = strlen(begin) - 1; n > 0; n--)
		if (size >= n && memcmp(data + size - n, begin, n) == 0)
			return size - n;
	return size;
}

static const char *attribute(const char *tag, size_t size, const char *name)
{
	const char *found = memmem(tag, size, name, strlen(name));

	return found ? found + strlen(name) + 1 : NULL; /* behind the quote */
}

static void read_message(const char *data, size_t size, struct quick_message *out)
{
	const char *tag_end = memchr(data, '>', size), *text;
	const size_t tag = (size_t)(tag_end - data);
	const char *type = attribute(data, tag, " type=");

	out->is_error = type != NULL && strncmp(type, "error", 5) == 0;
	if (out->is_error) {
		text = attribute(data, tag, " id=");
	} else {
		text = memmem(tag_end, size - tag, body, strlen(body));
		text = text ? text + strlen(body) : NULL;
	}
	out->is_numbered = text != NULL && numbered_parse(text, &out->number);
}

enum quick quick_next(const char *data, size_t size, size_t *length, struct quick_message *out)
{
	const char *close;

	*length = before_message(data, size);
	if (*length > 0)
		return QUICK_OTHER;
	close = memmem(data, size, end, strlen(end));
	if (close == NULL)
		return QUICK_MORE;
	*length = (size_t)(close - data) + strlen(end);
	read_message(data, *length, out);
	return QUICK_MESSAGE;
}
