/*
 * kamailio_xmpp.c - lets Kamailio's xmpp module live, so that it can be measured; for LD_PRELOAD.
 *
 * As built for Debian 12 (5.6.3) it looks for an empty string at the end of an element's
 * attributes, where expat has a null pointer, and dies of the first stream header. Here it gets
 * its empty string. That costs it a copy of a few pointers.
 */
#include <dlfcn.h>
#include <expat.h>
#include <stddef.h>
#include <stdlib.h>

enum { MODULE_HANDLERS = 4, POINTERS = 200 };

typedef void set_fn(XML_Parser parser, XML_StartElementHandler start, XML_EndElementHandler end);

/* It has one for streams, and one for single elements. */
static XML_StartElementHandler handlers[MODULE_HANDLERS];

static void call(size_t i, void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	const XML_Char *copy[POINTERS + 1];
	size_t n = 0;

	while (n < POINTERS && attributes[n] != NULL) {
		copy[n] = attributes[n];
		n++;
	}
	copy[n] = "";
	handlers[i](ctx, name, copy);
}

#define START(I)                                                                                             \
	static void start##I(void *ctx, const XML_Char *name, const XML_Char **attributes)                   \
	{                                                                                                    \
		call(I, ctx, name, attributes);                                                              \
	}

START(0)
START(1)
START(2)
START(3)

void XML_SetElementHandler(XML_Parser parser, XML_StartElementHandler start, XML_EndElementHandler end)
{
	static const XML_StartElementHandler starts[MODULE_HANDLERS] = { start0, start1, start2, start3 };
	set_fn *set = NULL;

	*(void **)&set = dlsym(RTLD_NEXT, "XML_SetElementHandler");
	if (set == NULL)
		abort();
	for (size_t i = 0; i < MODULE_HANDLERS; i++) {
		if (handlers[i] != NULL && handlers[i] != start)
			continue;
		handlers[i] = start;
		set(parser, starts[i], end);
		return;
	}
	abort();
}
