/*
 * presencetest.c - presence written in one line.
 */
#include "tests/unit/presencetest.h"

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
