/*
 * endpoint_view.c - a received request as plain values.
 *
 * sofia-sip has cut the header into fields; it does not ask whether a value is
 * text, and leaves folded lines, quotes and escapes in place. Here every value
 * becomes what it stands for, or the request is no good: nothing is mended, and
 * nothing of sofia-sip leaves this file.
 *
 * Pure, but for the address of the source. Nothing is fatal.
 */
#include "bridge/sip/endpoint_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <sofia-sip/msg_addr.h>
#include <sofia-sip/tport.h>

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

static enum err address_of(const url_t *url, struct sip_address *out)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	const char *text = url_as_string(home, url);
	enum err e = text != NULL ? sip_address_parse(text, out) : ERR_SYNTAX;

	su_home_deinit(home);
	return e;
}

static void fold(char *s)
{
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + ('a' - 'A'));
}

void endpoint_source(struct view_text *text, nta_agent_t *agent, msg_t *msg)
{
	const su_sockaddr_t *from = msg_addr(msg);
	const bool v6 = from->su_family == AF_INET6;
	tport_t *tport = tport_delivered_by(nta_agent_tports(agent), msg);
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(from->su_family, SU_ADDR(from), address, sizeof(address));
	snprintf(text->source, sizeof(text->source), v6 ? "[%s]:%u/%s" : "%s:%u/%s", address,
		 (unsigned)ntohs(from->su_port), tport_is_tcp(tport) ? "tcp" : "udp");
}

static enum err set_content(struct sip_request *r, struct view_text *text, const sip_t *sip)
{
	const sip_content_type_t *type = sip->sip_content_type;
	const char *charset = type != NULL ? msg_params_find(type->c_params, "charset=") : NULL;
	enum err e = field_text(type != NULL ? type->c_type : "", text->type);

	if (e == OK)
		e = unquoted_text(charset != NULL ? charset : "", text->charset);
	if (e != OK)
		return e;
	fold(text->type);
	fold(text->charset);
	r->content_type = text->type;
	r->charset = text->charset;
	r->body = sip->sip_payload != NULL ? sip->sip_payload->pl_data : "";
	r->body_size = sip->sip_payload != NULL ? sip->sip_payload->pl_len : 0;
	return OK;
}

/* A list names no one language. */
static enum err set_language(struct sip_request *r, struct view_text *text, const sip_t *sip)
{
	const sip_content_language_t *field = sip->sip_content_language;
	enum err e;

	if (field == NULL || field->k_items == NULL || field->k_items[0] == NULL || field->k_items[1] != NULL)
		return OK;
	e = field_text(field->k_items[0], text->language);
	if (e == OK)
		r->content_language = text->language;
	return e;
}

const char *endpoint_view(const sip_t *sip, struct view_text *text, struct sip_request *r)
{
	const char *display = sip->sip_from->a_display;

	if (address_of(sip->sip_request->rq_url, &r->to) != OK)
		return "Bad Request-URI";
	if (address_of(sip->sip_from->a_url, &r->from) != OK ||
	    unquoted_text(display != NULL ? display : "", text->display) != OK)
		return "Bad From";
	if (field_text(sip->sip_call_id->i_id, text->call_id) != OK)
		return "Bad Call-ID";
	if (sip->sip_subject != NULL && field_text(sip->sip_subject->g_string, text->subject) != OK)
		return "Bad Subject";
	if (set_language(r, text, sip) != OK)
		return "Bad Content-Language";
	if (set_content(r, text, sip) != OK)
		return "Bad Content-Type";
	r->method = sip->sip_request->rq_method_name;
	r->from_display = text->display;
	r->call_id = text->call_id;
	r->subject = sip->sip_subject != NULL ? text->subject : NULL;
	return NULL;
}
