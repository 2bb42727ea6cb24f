/*
 * end_note.c - numbered messages, and the log of what became of them.
 *
 * A line each: microseconds, what, flow, pair, number, connection. It is
 * collected in memory, and written once or twice in a turn.
 *
 * A file that cannot be written ends the program.
 */
#include "bench/end_note.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/meter.h"

static struct {
	int log;
	struct strbuf lines;
	uint64_t counts[128];
} notes;

void number_text(unsigned long number, struct strbuf *out)
{
	char digits[24], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	strbuf_add(out, at, (size_t)(digits + sizeof(digits) - at));
}

void numbered_text(const struct numbered *m, struct strbuf *out)
{
	strbuf_putc(out, m->flow);
	strbuf_putc(out, '-');
	number_text(m->pair, out);
	strbuf_putc(out, '-');
	number_text(m->number, out);
}

/* "-123"; NULL: it is none. */
static const char *read_part(const char *text, unsigned long *out)
{
	char *end;

	if (text[0] != '-' || text[1] < '0' || text[1] > '9')
		return NULL;
	*out = strtoul(text + 1, &end, 10);
	return end;
}

bool numbered_parse(const char *text, struct numbered *out)
{
	unsigned long pair, number;
	const char *rest = text[0] != '\0' ? read_part(text + 1, &pair) : NULL;

	if (rest == NULL || read_part(rest, &number) == NULL)
		return false;
	*out = (struct numbered){ text[0], (unsigned)pair, number };
	return true;
}

static void measure(enum note note, const struct numbered *m)
{
	if (note == NOTE_SENT)
		meter_sent(m);
	else if (note == NOTE_GOT)
		meter_got(m);
	else if (note == NOTE_ERROR)
		meter_error(m);
}

void end_note(enum note note, const struct numbered *m, unsigned id)
{
	notes.counts[note]++;
	if (meter_is_open())
		measure(note, m);
	if (notes.log >= 0)
		strbuf_printf(&notes.lines, "%lld %c %c %u %lu %u\n", (long long)end_now(), (char)note,
			      m->flow, m->pair, m->number, id);
}

unsigned long long notes_count(enum note note)
{
	return notes.counts[note];
}

void notes_open(const char *path)
{
	notes.log = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
	if (path && notes.log < 0)
		end_fail(path);
}

void notes_write(void)
{
	size_t done = 0;

	while (done < notes.lines.len) {
		ssize_t n = write(notes.log, notes.lines.s + done, notes.lines.len - done);

		if (n < 0)
			end_fail("log");
		done += (size_t)n;
	}
	strbuf_reset(&notes.lines);
}

void notes_close(void)
{
	notes_write();
	strbuf_free(&notes.lines);
	if (notes.log >= 0)
		close(notes.log);
}
