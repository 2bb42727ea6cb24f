/*
 * SIP requests of all methods and responses, through sofia-sip's parser and our
 * view of what it found: every value that comes out is text, and what becomes a
 * dialog can be written down and read back.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdlib.h>

#include <sofia-sip/sip_util.h>

#include "tests/fuzz/fuzz.h"

static void check_text(const char *s)
{
	char out[SIP_URI_SIZE];

	CHECK(s == NULL || sip_header_text(s, out, sizeof(out)) == OK);
}

static void check_request(struct sip_view *view)
{
	struct sip_dialog *dialog = NULL, *again = NULL;
	struct sip_request r;
	json_t *record;
	char uri[SIP_URI_SIZE];

	if (endpoint_view_request(view, &r) != NULL)
		return;
	check_text(r.method);
	check_text(r.from_uri);
	check_text(r.to_uri);
	check_text(r.from_display);
	check_text(r.to_display);
	check_text(r.from_tag);
	check_text(r.to_tag);
	check_text(r.call_id);
	check_text(r.contact_uri);
	check_text(r.event);
	check_text(r.subscription_state);
	check_text(r.reason);
	check_text(r.subject);
	check_text(r.content_language);
	check_text(r.content_type);
	check_text(r.charset);
	CHECK(sip_address_format(&r.from, uri) == OK && sip_address_format(&r.to, uri) == OK);
	free(xstrndup(r.body, r.body_size)); /* readable to its end */
	if (sip_dialog_accept(&r, &dialog) != OK)
		return;
	/* Whatever a peer puts into a dialog can be written down, and is read back. */
	record = sip_dialog_write(dialog);
	CHECK(record != NULL && sip_dialog_read(record, &again) == OK);
	json_decref(record);
	sip_dialog_free(again);
	sip_dialog_free(dialog);
}

static void check_message(const sip_t *sip)
{
	static const char *const names[] = {
		"Record-Route", "Via", "Supported", "ms-text-format", "From", "x"
	};
	struct sip_response response;
	struct sip_view view;

	endpoint_view_begin(&view, sip);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		for (unsigned index = 0; index < 3; index++)
			check_text(sip_header(&view, names[i], index));
	if (sip->sip_request != NULL) {
		check_request(&view);
	} else {
		endpoint_view_response(&view, &response);
		check_text(response.to_tag);
		check_text(response.contact_uri);
		free(xstrndup(response.body, response.body_size));
	}
	endpoint_view_end(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	msg_t *msg = msg_make(sip_default_mclass(), MSG_DO_CANONIC, data, (ssize_t)size);
	const sip_t *sip = msg != NULL ? sip_object(msg) : NULL;

	if (sip != NULL && (sip->sip_request != NULL || sip->sip_status != NULL) &&
	    (sip->sip_flags & MSG_FLG_ERROR) == 0 && sip_sanity_check(sip) >= 0)
		check_message(sip);
	msg_destroy(msg);
	return 0;
}
