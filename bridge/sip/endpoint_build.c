/*
 * endpoint_build.c - a request to send, as a message of sofia-sip.
 *
 * sofia-sip writes what it is given, line breaks too, so every string is asked
 * once more here whether it is text; one that is not makes no message.
 * Route set and Request-URI follow RFC 3261 section 12.2.1.1, with loose and
 * with strict routers.
 *
 * Keeps nothing; the caller owns the message. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <stdio.h>
#include <string.h>

#include <sofia-sip/sip_util.h>

enum { UDP_MAX = 1300 /* RFC 3261 section 18.1.1, RFC 3428 section 8 */ };

void endpoint_branch(char out[BRANCH_SIZE])
{
	strcpy(out, "z9hG4bK");
	sip_token(out + strlen(out));
}

/* --- what goes into a header field is text --- */

bool endpoint_is_clean(const char *text)
{
	char scratch[SIP_URI_SIZE];

	return text == NULL || sip_header_text(text, scratch, sizeof(scratch)) == OK;
}

static bool lines_are_clean(const char *const *lines, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (lines[i] == NULL || !endpoint_is_clean(lines[i]))
			return false;
	return true;
}

static bool is_all_clean(const struct sip_send *s, const struct sip_dialog *d)
{
	return endpoint_is_clean(s->method) && endpoint_is_clean(s->from_display) &&
	       endpoint_is_clean(s->content_type) && lines_are_clean(s->headers, s->header_count) &&
	       endpoint_is_clean(d->call_id) && endpoint_is_clean(d->local_uri) &&
	       endpoint_is_clean(d->local_tag) && endpoint_is_clean(d->remote_uri) &&
	       endpoint_is_clean(d->remote_tag) && endpoint_is_clean(d->target) &&
	       lines_are_clean((const char *const *)d->route, d->route_count);
}

/* --- RFC 3261 section 12.2.1.1 --- */

/* As a Request-URI: without what section 19.1.1 forbids there. */
static url_t *request_url(su_home_t *home, const char *uri)
{
	url_t *url = url_hdup(home, URL_STRING_MAKE(uri)->us_url);

	if (url == NULL)
		return NULL;
	url->url_headers = NULL;
	if (url->url_params != NULL)
		url->url_params = url_strip_param_string((char *)(uintptr_t)url->url_params, "method");
	return url;
}

static bool is_loose(const char *uri)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const url_t *url = url_hdup(home, URL_STRING_MAKE(uri)->us_url);
	bool loose = url != NULL && url_has_param(url, "lr");

	su_home_deinit(home);
	return loose;
}

static void add_route(struct strbuf *b, const char *uri)
{
	strbuf_printf(b, "%s<%s>", b->len > 0 ? ", " : "", uri);
}

/* The Request-URI, and the values of Route. */
static const char *route_request(const struct sip_dialog *d, struct strbuf *route)
{
	const char *target = d->target != NULL ? d->target : d->remote_uri;
	bool loose = d->route_count == 0 || is_loose(d->route[0]);

	for (size_t i = loose ? 0 : 1; i < d->route_count; i++)
		add_route(route, d->route[i]);
	if (loose)
		return target;
	add_route(route, target);
	return d->route[0];
}

/* --- the message --- */

static bool needs_contact(const char *method)
{
	return strcmp(method, "INVITE") == 0 || strcmp(method, "SUBSCRIBE") == 0 ||
	       strcmp(method, "NOTIFY") == 0;
}

static bool add_contact(struct sip_endpoint *ep, msg_t *msg, const char *method, enum pool pool)
{
	char uri[SIP_URI_SIZE];
	struct strbuf value = { .s = NULL };
	bool ok;

	if (!needs_contact(method))
		return true;
	if (!endpoint_contact(ep, endpoint_pool_transport(ep, pool), uri))
		return false;
	strbuf_printf(&value, "<%s>", uri);
	ok = sip_add_tl(msg, sip_object(msg), SIPTAG_CONTACT_STR(value.s), TAG_END()) >= 0;
	strbuf_free(&value);
	return ok;
}

static bool add_lines(msg_t *msg, const struct sip_send *s)
{
	for (size_t i = 0; i < s->header_count; i++)
		if (sip_add_tl(msg, sip_object(msg), SIPTAG_HEADER_STR(s->headers[i]), TAG_END()) < 0)
			return false;
	return true;
}

static bool add_dialog(msg_t *msg, const struct sip_send *s, const struct sip_dialog *d, uint32_t cseq)
{
	struct strbuf from = { .s = NULL }, to = { .s = NULL }, route = { .s = NULL };
	su_home_t *home = msg_home(msg);
	sip_method_t method = sip_method_code(s->method);
	url_t *url = request_url(home, route_request(d, &route));
	bool ok;

	if (s->from_display != NULL)
		strbuf_printf(&from, "%s ", s->from_display);
	strbuf_printf(&from, "<%s>;tag=%s", d->local_uri, d->local_tag);
	strbuf_printf(&to, "<%s>", d->remote_uri);
	if (d->remote_tag != NULL)
		strbuf_printf(&to, ";tag=%s", d->remote_tag);
	ok = url != NULL &&
	     sip_add_tl(
		     msg, sip_object(msg),
		     SIPTAG_REQUEST(sip_request_create(home, method, s->method, (url_string_t *)url, NULL)),
		     TAG_IF(route.len > 0, SIPTAG_ROUTE_STR(route.s)), SIPTAG_MAX_FORWARDS_STR("70"),
		     SIPTAG_FROM_STR(from.s), SIPTAG_TO_STR(to.s), SIPTAG_CALL_ID_STR(d->call_id),
		     SIPTAG_CSEQ(sip_cseq_create(home, cseq, (unsigned)method, s->method)), TAG_END()) >= 0;
	strbuf_free(&from);
	strbuf_free(&to);
	strbuf_free(&route);
	return ok;
}

static bool add_body(msg_t *msg, const struct sip_send *s)
{
	if (s->content_type == NULL)
		return true;
	return sip_add_tl(msg, sip_object(msg), SIPTAG_CONTENT_TYPE_STR(s->content_type),
			  SIPTAG_PAYLOAD(sip_payload_create(msg_home(msg), s->body, (isize_t)s->body_size)),
			  TAG_END()) >= 0;
}

msg_t *endpoint_build(struct sip_endpoint *ep, const struct sip_send *s, const struct sip_dialog *d,
		      uint32_t cseq)
{
	msg_t *msg;

	if (!is_all_clean(s, d))
		return NULL;
	msg = nta_msg_create(ep->agent, 0);
	if (add_dialog(msg, s, d, cseq) && add_contact(ep, msg, s->method, d->pool) && add_lines(msg, s) &&
	    add_body(msg, s) && sip_complete_message(msg) >= 0)
		return msg;
	msg_destroy(msg);
	return NULL;
}

/* --- its size --- */

/* The longest Via line that a UDP listener of ours adds. */
static size_t via_size(const struct sip_endpoint *ep, const char *branch)
{
	size_t longest = 0;

	for (const sip_via_t *v = nta_agent_via(ep->agent); v != NULL; v = v->v_next) {
		size_t size =
			strlen("Via: SIP/2.0/UDP ;rport;branch=\r\n") + strlen(v->v_host) + strlen(branch);

		if (v->v_port != NULL)
			size += 1 + strlen(v->v_port);
		if (strcasecmp(v->v_protocol, sip_transport_udp) == 0 && size > longest)
			longest = size;
	}
	return longest;
}

static size_t wire_size(const struct sip_endpoint *ep, msg_t *msg, const char *branch)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	size_t size = 0;

	if (msg_as_string(home, msg, NULL, 0, &size) == NULL)
		size = SIZE_MAX / 2;
	su_home_deinit(home);
	return size + via_size(ep, branch);
}

bool endpoint_fit(const struct sip_endpoint *ep, msg_t *msg, const char *branch,
		  struct endpoint_target *target, bool *upgraded)
{
	char *transport = strstr(target->uri, ";transport=udp");

	if (target->tcp || transport == NULL || wire_size(ep, msg, branch) <= UDP_MAX)
		return true;
	if (!ep->has_tcp)
		return false;
	memcpy(transport, ";transport=tcp", strlen(";transport=tcp"));
	target->tcp = true;
	target->transport = TRANSPORT_TCP;
	if (upgraded != NULL)
		*upgraded = true;
	return true;
}
