/*
 * endpoint_view.c - a received request or response as plain values.
 *
 * sofia-sip has cut the header into fields; it does not ask whether a value is
 * text, and leaves folded lines, quotes and escapes in place. Here every value
 * becomes what it stands for, or the request is no good: nothing is mended, and
 * nothing of sofia-sip leaves this file. Of a response, what cannot be read is
 * not there.
 *
 * Pure, but for the address of the source. A view owns the strings that the
 * request points to. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_header.h>
#include <sofia-sip/msg_mclass.h>
#include <sofia-sip/sip_util.h>
#include <sofia-sip/tport.h>

enum { DEFAULT_HOPS = 70, SECONDS_DIGITS = 10 };

void endpoint_view_begin(struct sip_view *v, const sip_t *sip)
{
	v->sip = sip;
	v->source[0] = '\0';
	v->home = su_home_auto(v->area, sizeof(v->area));
}

void endpoint_view_end(struct sip_view *v)
{
	su_home_deinit(v->home);
}

/* --- text --- */

static const char *keep(struct sip_view *v, const char *s)
{
	char *copy = su_strdup(v->home, s);

	if (copy == NULL)
		abort(); /* out of memory: as everywhere */
	return copy;
}

/*
 * A header field's value as text. A folded line is one space (RFC 3261 section
 * 7.3.1). ERR_SYNTAX: controls, or not UTF-8.
 */
static enum err field_text(const char *value, char out[VIEW_TEXT_SIZE])
{
	char flat[VIEW_TEXT_SIZE];
	size_t used = 0;

	while (*value != '\0') {
		size_t space = strspn(value, " \t\r\n");
		bool folded = strcspn(value, "\r\n") < space;

		if (used + 1 >= sizeof(flat))
			return ERR_LIMIT;
		flat[used++] = folded || *value == '\t' ? ' ' : *value;
		value += folded ? space : 1;
	}
	flat[used] = '\0';
	return sip_header_text(flat, out, VIEW_TEXT_SIZE);
}

/* A quoted-string without its quotes and escapes; tokens as they are. */
static enum err unquoted_text(const char *value, char out[VIEW_TEXT_SIZE])
{
	char plain[VIEW_TEXT_SIZE];
	size_t used = 0;
	bool quoted = value[0] == '"';

	for (const char *s = value + quoted; *s != '\0' && !(quoted && *s == '"'); s++) {
		if (quoted && *s == '\\' && s[1] != '\0')
			s++;
		if (used + 1 >= sizeof(plain))
			return ERR_LIMIT;
		plain[used++] = *s;
	}
	plain[used] = '\0';
	return field_text(plain, out);
}

/* value may be NULL: fallback then. False: it is no text. */
static bool set_text(struct sip_view *v, const char *value, const char *fallback, const char **out)
{
	char text[VIEW_TEXT_SIZE];

	if (value == NULL) {
		*out = fallback;
		return true;
	}
	if (field_text(value, text) != OK)
		return false;
	*out = keep(v, text);
	return true;
}

static void fold(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + ('a' - 'A'));
}

/* The same, without quotes and, where folded, in lower case. */
static bool set_plain(struct sip_view *v, const char *value, const char *fallback, bool folded,
		      const char **out)
{
	char text[VIEW_TEXT_SIZE];

	if (value == NULL) {
		*out = fallback;
		return true;
	}
	if (unquoted_text(value, text) != OK)
		return false;
	if (folded)
		fold(text);
	*out = keep(v, text);
	return true;
}

/* RFC 3261 section 25.1: a tag is a token. */
static bool set_tag(struct sip_view *v, const char *tag, const char **out)
{
	static const char token[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~";

	if (tag == NULL)
		return true;
	if (tag[0] == '\0' || strlen(tag) >= VIEW_TEXT_SIZE || tag[strspn(tag, token)] != '\0')
		return false;
	*out = keep(v, tag);
	return true;
}

/* NULL: no SIP URI. address may be NULL. */
static const char *uri_text(struct sip_view *v, const url_t *url, struct sip_address *address)
{
	struct sip_address scratch;
	const char *text = url_as_string(v->home, url);
	char clean[SIP_URI_SIZE];

	if (text == NULL || sip_address_parse(text, address != NULL ? address : &scratch) != OK ||
	    sip_header_text(text, clean, sizeof(clean)) != OK)
		return NULL;
	return text;
}

/* Seconds; -1: none, or no number. */
static int64_t seconds(const char *text)
{
	if (text == NULL || text[0] == '\0' || strlen(text) > SECONDS_DIGITS ||
	    text[strspn(text, "0123456789")] != '\0')
		return -1;
	return strtoll(text, NULL, 10);
}

/* --- any header field --- */

static const msg_header_t *find_known(const sip_t *sip, const char *name)
{
	const msg_href_t *href = msg_find_hclass(sip_default_mclass(), name, NULL);

	if (href == NULL || href->hr_class == NULL || href->hr_class->hc_name == NULL ||
	    strcasecmp(href->hr_class->hc_name, name) != 0)
		return NULL;
	return msg_header_access((const msg_pub_t *)sip, (msg_hclass_t *)(uintptr_t)href->hr_class);
}

/* COMPAT: sip_header_as_string() of sofia-sip 1.12.11 cuts parameters off that need more room than it first took. */
static const char *printed(struct sip_view *v, const msg_header_t *h)
{
	char text[VIEW_TEXT_SIZE];
	issize_t n = sip_header_field_e(text, sizeof(text), (const sip_header_t *)h, 0);

	return n >= 0 && (size_t)n < sizeof(text) ? keep(v, text) : NULL;
}

static const char *find_value(struct sip_view *v, const char *name, unsigned index)
{
	const msg_header_t *h = find_known(v->sip, name);
	const sip_unknown_t *u = v->sip->sip_unknown;

	if (h != NULL) {
		while (h != NULL && index-- > 0)
			h = h->sh_next;
		return h != NULL ? printed(v, h) : NULL;
	}
	for (; u != NULL; u = u->un_next)
		if (strcasecmp(u->un_name, name) == 0 && index-- == 0)
			return u->un_value;
	return NULL;
}

const char *sip_header(const struct sip_view *view, const char *name, unsigned index)
{
	/* Constant to the reader; the home only remembers what it gave out. */
	struct sip_view *v = (struct sip_view *)(uintptr_t)view;
	const char *text = NULL, *value;

	if (view == NULL)
		return NULL;
	value = find_value(v, name, index);
	return value != NULL && set_text(v, value, NULL, &text) ? text : NULL;
}

/* --- what requests and responses share --- */

struct content {
	const char *type, *charset, *body;
	size_t size;
};

static bool read_content(struct sip_view *v, struct content *out)
{
	const sip_content_type_t *type = v->sip->sip_content_type;
	const sip_payload_t *payload = v->sip->sip_payload;

	*out = (struct content){ .type = "", .charset = "", .body = "" };
	if (payload != NULL && payload->pl_len > 0) {
		out->body = payload->pl_data;
		out->size = payload->pl_len;
	}
	return type == NULL ||
	       (set_plain(v, type->c_type, "", true, &out->type) &&
		set_plain(v, msg_params_find(type->c_params, "charset="), "", true, &out->charset));
}

static int64_t expires_of(const sip_t *sip)
{
	const sip_expires_t *e = sip->sip_expires;

	return e != NULL && e->ex_date == 0 ? (int64_t)e->ex_delta : -1;
}

static const char *contact_of(struct sip_view *v)
{
	return v->sip->sip_contact != NULL ? uri_text(v, v->sip->sip_contact->m_url, NULL) : NULL;
}

/* --- requests --- */

void endpoint_view_source(struct sip_view *v, nta_agent_t *agent, msg_t *msg)
{
	const su_sockaddr_t *from = msg_addr(msg);
	const bool v6 = from->su_family == AF_INET6;
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(from->su_family, SU_ADDR(from), address, sizeof(address));
	snprintf(v->source, sizeof(v->source), v6 ? "[%s]:%u/%s" : "%s:%u/%s", address,
		 (unsigned)ntohs(from->su_port), transport_name(endpoint_transport_of(agent, msg)));
}

static bool set_from(struct sip_view *v, struct sip_request *r)
{
	const sip_from_t *from = v->sip->sip_from;

	r->from_uri = uri_text(v, from->a_url, &r->from);
	return r->from_uri != NULL && set_plain(v, from->a_display, "", false, &r->from_display) &&
	       set_tag(v, from->a_tag, &r->from_tag);
}

/* Of any scheme (RFC 3261 section 8.2.2.1); without a SIP URI there can be no dialog. */
static bool set_to(struct sip_view *v, struct sip_request *r)
{
	const sip_to_t *to = v->sip->sip_to;

	r->to_uri = uri_text(v, to->a_url, &r->to_header);
	return set_plain(v, to->a_display, "", false, &r->to_display) && set_tag(v, to->a_tag, &r->to_tag);
}

/* A list names no one language. */
static bool set_language(struct sip_view *v, struct sip_request *r)
{
	const sip_content_language_t *field = v->sip->sip_content_language;

	if (field == NULL || field->k_items == NULL || field->k_items[0] == NULL || field->k_items[1] != NULL)
		return true;
	return set_text(v, field->k_items[0], NULL, &r->content_language);
}

static bool set_state(struct sip_view *v, struct sip_request *r)
{
	const sip_subscription_state_t *state = v->sip->sip_subscription_state;

	r->state_expires = r->retry_after = -1;
	if (state == NULL)
		return true;
	r->state_expires = seconds(state->ss_expires);
	r->retry_after = seconds(state->ss_retry_after);
	return set_plain(v, state->ss_substate, NULL, true, &r->subscription_state) &&
	       set_plain(v, state->ss_reason, NULL, true, &r->reason);
}

static const char *set_fields(struct sip_view *v, struct sip_request *r)
{
	const sip_t *sip = v->sip;
	struct content content;

	if (!set_text(v, sip->sip_subject != NULL ? sip->sip_subject->g_string : NULL, NULL, &r->subject))
		return "Bad Subject";
	if (!set_language(v, r))
		return "Bad Content-Language";
	if (!read_content(v, &content))
		return "Bad Content-Type";
	if (!set_plain(v, sip->sip_event != NULL ? sip->sip_event->o_type : NULL, NULL, true, &r->event))
		return "Bad Event";
	if (!set_state(v, r))
		return "Bad Subscription-State";
	r->content_type = content.type;
	r->charset = content.charset;
	r->body = content.body;
	r->body_size = content.size;
	return NULL;
}

const char *endpoint_view_route(struct sip_view *v, struct sip_request *r)
{
	const sip_t *sip = v->sip;

	*r = (struct sip_request){ .source = v->source, .pool = -1, .view = v };
	if (uri_text(v, sip->sip_request->rq_url, &r->to) == NULL)
		return "Bad Request-URI";
	if (!set_from(v, r))
		return "Bad From";
	if (!set_text(v, sip->sip_call_id->i_id, NULL, &r->call_id))
		return "Bad Call-ID";
	r->method = sip->sip_request->rq_method_name;
	return NULL;
}

const char *endpoint_view_rest(struct sip_view *v, struct sip_request *r)
{
	const sip_t *sip = v->sip;

	if (r->call_id[0] == '\0')
		return "Bad Call-ID";
	if (!set_to(v, r))
		return "Bad To";
	r->cseq = sip->sip_cseq->cs_seq;
	r->max_forwards =
		sip->sip_max_forwards != NULL ? (unsigned)sip->sip_max_forwards->mf_count : DEFAULT_HOPS;
	r->contact_uri = contact_of(v);
	r->expires = expires_of(sip);
	return set_fields(v, r);
}

const char *endpoint_view_request(struct sip_view *v, struct sip_request *r)
{
	const char *phrase = endpoint_view_route(v, r);

	return phrase != NULL ? phrase : endpoint_view_rest(v, r);
}

/* --- responses --- */

void endpoint_view_response(struct sip_view *v, struct sip_response *r)
{
	const sip_t *sip = v->sip;
	struct content content;

	*r = (struct sip_response){ .status = (unsigned)sip->sip_status->st_status,
				    .phrase = sip->sip_status->st_phrase != NULL ? sip->sip_status->st_phrase
										 : "",
				    .expires = expires_of(sip),
				    .retry_after = -1,
				    .content_type = "",
				    .charset = "",
				    .body = "",
				    .view = v };
	if (!set_tag(v, sip->sip_to->a_tag, &r->to_tag))
		r->to_tag = NULL;
	r->contact_uri = contact_of(v);
	if (sip->sip_retry_after != NULL)
		r->retry_after = (int64_t)sip->sip_retry_after->af_delta;
	if (!read_content(v, &content))
		return;
	r->content_type = content.type;
	r->charset = content.charset;
	r->body = content.body;
	r->body_size = content.size;
}
