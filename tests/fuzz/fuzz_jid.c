/*
 * Addresses: what is accepted is normal, so it is accepted again as the same;
 * it keeps its bounds and holds no separator where none may be.
 */
#include "bridge/xmpp/jid.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static void check_parts(const struct jid *jid)
{
	char domain[JID_DOMAIN_MAX + 1];

	CHECK(jid->domain[0] != '\0');
	CHECK(strlen(jid->local) <= JID_PART_MAX && strlen(jid->resource) <= JID_PART_MAX);
	CHECK(strlen(jid->domain) <= JID_DOMAIN_MAX);
	CHECK(strpbrk(jid->local, "\"&'/:<>@ ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL);
	CHECK(jid->domain[strspn(jid->domain, "abcdefghijklmnopqrstuvwxyz0123456789.-")] == '\0');
	CHECK(utf8_is_xml(jid->local, strlen(jid->local)));
	CHECK(utf8_is_xml(jid->resource, strlen(jid->resource)));
	CHECK(jid_domain(jid->domain, domain) == OK && strcmp(domain, jid->domain) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), full[JID_FULL_SIZE];
	struct jid jid, again;

	if (jid_parse(text, &jid) == OK) {
		check_parts(&jid);
		jid_full(&jid, full);
		CHECK(jid_parse(full, &again) == OK);
		CHECK(strcmp(jid.local, again.local) == 0);
		CHECK(strcmp(jid.domain, again.domain) == 0);
		CHECK(strcmp(jid.resource, again.resource) == 0);
	}
	free(text);
	return 0;
}
