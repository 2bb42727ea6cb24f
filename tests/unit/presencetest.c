/*
 * presencetest.c - presence written in one line.
 */
#include "tests/unit/presencetest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void presence_draw(struct strbuf *b, const struct presence *p)
{
	strbuf_printf(
		b, "%s: %s %s %d", p->resource != NULL ? p->resource : "-", p->available ? "open" : "closed",
		presence_show_name(p->show) != NULL ? presence_show_name(p->show) : "none", p->priority);
	if (p->status != NULL)
		strbuf_printf(b, " '%s'", p->status);
	if (p->lang != NULL)
		strbuf_printf(b, "@%s", p->lang);
}

char *presence_list_draw(const struct presence_list *l)
{
	struct strbuf b = { 0 };

	for (size_t i = 0; i < l->count; i++) {
		strbuf_puts(&b, i > 0 ? "; " : "");
		presence_draw(&b, &l->items[i]);
	}
	return strbuf_take(&b);
}

enum err presence_read_text(const char *type, const char *bytes, const struct presence_list *known,
			    struct presence_list *out)
{
	const struct presence_body body = {
		.type = type, .bytes = bytes, .size = strlen(bytes), .known = known
	};

	return presence_read(&body, out);
}

void presence_expect(size_t at, const char *type, const char *bytes, const struct presence_list *known,
		     const char *expected)
{
	struct presence_list l = { NULL, 0 };
	enum err e = presence_read_text(type, bytes, known, &l);
	char *drawn;

	if (e != OK)
		fail_msg("case %zu: %s", at, err_text(e));
	drawn = presence_list_draw(&l);
	if (strcmp(drawn, expected) != 0)
		fail_msg("case %zu: %s, not %s", at, drawn, expected);
	free(drawn);
	presence_list_clear(&l);
}
