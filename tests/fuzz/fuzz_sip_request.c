/*
 * SIP requests, through sofia-sip's parser and our view of what it found: every
 * value that comes out is text.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>

#include <sofia-sip/sip_util.h>

#include "tests/fuzz/fuzz.h"

static void check_text(const char *s)
{
	char out[VIEW_TEXT_SIZE];

	CHECK(s == NULL || sip_header_text(s, out, sizeof(out)) == OK);
}

static void check_view(const sip_t *sip)
{
	struct sip_request r = { .source = "" };
	struct view_text text;
	char uri[SIP_URI_SIZE];

	if (endpoint_view(sip, &text, &r) != NULL)
		return;
	check_text(r.method);
	check_text(r.from_display);
	check_text(r.call_id);
	check_text(r.subject);
	check_text(r.content_language);
	check_text(r.content_type);
	check_text(r.charset);
	CHECK(sip_address_format(&r.from, uri) == OK && sip_address_format(&r.to, uri) == OK);
	free(xstrndup(r.body, r.body_size)); /* readable to its end */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	msg_t *msg = msg_make(sip_default_mclass(), MSG_DO_CANONIC, data, (ssize_t)size);
	const sip_t *sip = msg != NULL ? sip_object(msg) : NULL;

	if (sip != NULL && sip->sip_request != NULL && (sip->sip_flags & MSG_FLG_ERROR) == 0 &&
	    sip_sanity_check(sip) >= 0)
		check_view(sip);
	msg_destroy(msg);
	return 0;
}
