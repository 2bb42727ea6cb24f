/*
 * dialog.c - the state of a SIP dialog: made from what created it, changed by
 * what comes in it, written down and read back.
 *
 * Values come from the endpoint's view or from the state file, and are not
 * trusted in either: a URI that cannot be read makes no dialog, and of a record
 * in the file every part is checked. Tags are compared without regard to case
 * (RFC 3261 section 7.3.1), Call-IDs with it.
 *
 * Owns its strings. Nothing is fatal.
 */
#include "bridge/sip/dialog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CSEQ_MAX 0x7fffffffU

enum { RANDOM_STOCK = 1024 };

static const char *const pool_names[POOLS] = { [POOL_LEGACY] = "legacy", [POOL_NEW] = "new" };

/*
 * glibc's arc4random() is the kernel's generator and does not fail; each call of it is one of the system's. What is
 * given out is erased, and the process never forks, so nobody has the same stock.
 */
static void take_random(unsigned char *out, size_t size)
{
	static unsigned char stock[RANDOM_STOCK];
	static size_t left;

	if (left < size) {
		arc4random_buf(stock, sizeof(stock));
		left = sizeof(stock);
	}
	left -= size;
	memcpy(out, stock + left, size);
	explicit_bzero(stock + left, size);
}

void sip_token(char out[SIP_TOKEN_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[(SIP_TOKEN_SIZE - 1) / 2];

	take_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++) {
		out[2 * i] = digits[random[i] >> 4];
		out[2 * i + 1] = digits[random[i] & 15];
	}
	out[SIP_TOKEN_SIZE - 1] = '\0';
}

static char *copy(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

static void free_routes(char **route, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(route[i]);
	free(route);
}

void sip_dialog_free(struct sip_dialog *d)
{
	if (d == NULL)
		return;
	free(d->call_id);
	free(d->local_uri);
	free(d->local_tag);
	free(d->remote_uri);
	free(d->remote_tag);
	free(d->target);
	free_routes(d->route, d->route_count);
	free(d);
}

struct sip_dialog *sip_dialog_create(enum pool pool, const char *local_uri, const char *remote_uri,
				     const char *call_id)
{
	struct sip_dialog *d = xcalloc(1, sizeof(*d));
	char token[SIP_TOKEN_SIZE];

	sip_token(token);
	d->local_tag = xstrdup(token);
	sip_token(token);
	d->call_id = xstrdup(call_id != NULL ? call_id : token);
	d->pool = pool;
	d->local_uri = xstrdup(local_uri);
	d->remote_uri = xstrdup(remote_uri);
	return d;
}

struct sip_dialog *sip_dialog_copy(const struct sip_dialog *d)
{
	struct sip_dialog *c = xcalloc(1, sizeof(*c));

	*c = *d;
	c->call_id = copy(d->call_id);
	c->local_uri = copy(d->local_uri);
	c->local_tag = copy(d->local_tag);
	c->remote_uri = copy(d->remote_uri);
	c->remote_tag = copy(d->remote_tag);
	c->target = copy(d->target);
	c->route = d->route_count > 0 ? xcalloc(d->route_count, sizeof(*c->route)) : NULL;
	for (size_t i = 0; i < d->route_count; i++)
		c->route[i] = copy(d->route[i]);
	return c;
}

/* --- what makes and changes it --- */

static bool is_uri(const char *uri)
{
	struct sip_address address;

	return sip_address_parse(uri, &address) == OK;
}

/* The URI of a Record-Route value, "<sip:...>;params"; NULL: it is none. The caller owns it. */
static char *route_uri(const char *value)
{
	const char *open = strchr(value, '<'), *close = open != NULL ? strchr(open, '>') : NULL;
	char *uri = close != NULL ? xstrndup(open + 1, (size_t)(close - open - 1)) : NULL;

	if (uri != NULL && !is_uri(uri)) {
		free(uri);
		uri = NULL;
	}
	return uri;
}

static enum err read_routes(const struct sip_view *view, char ***out, size_t *out_count)
{
	char **route = xcalloc(SIP_ROUTES_MAX, sizeof(*route));
	const char *value;
	size_t count = 0;
	enum err e = OK;

	for (unsigned i = 0; e == OK && (value = sip_header(view, "Record-Route", i)) != NULL; i++) {
		if (count == SIP_ROUTES_MAX)
			e = ERR_LIMIT;
		else if ((route[count] = route_uri(value)) != NULL)
			count++;
		else
			e = ERR_SYNTAX;
	}
	if (e != OK) {
		free_routes(route, count);
		return e;
	}
	/* A ledger has thousands of dialogs, most of them without routes. */
	*out = count > 0 ? xrealloc(route, count * sizeof(*route)) : NULL;
	if (count == 0)
		free(route);
	*out_count = count;
	return OK;
}

static void reverse(char **route, size_t count)
{
	for (size_t i = 0; i < count / 2; i++) {
		char *swap = route[i];

		route[i] = route[count - 1 - i];
		route[count - 1 - i] = swap;
	}
}

static void replace(char **field, const char *value)
{
	char *fresh = xstrdup(value);

	free(*field);
	*field = fresh;
}

static bool fits(const char *s, size_t max)
{
	return s == NULL || strlen(s) <= max;
}

enum err sip_dialog_accept(const struct sip_request *r, struct sip_dialog **out)
{
	struct sip_dialog *d;
	char **route = NULL;
	size_t count = 0;
	enum err e;

	if (r->from_tag == NULL || r->to_uri == NULL || r->contact_uri == NULL || !is_uri(r->contact_uri))
		return ERR_SYNTAX;
	if (!fits(r->call_id, SIP_CALL_ID_MAX) || !fits(r->from_tag, SIP_TAG_MAX) ||
	    !fits(r->local_tag, SIP_TAG_MAX))
		return ERR_LIMIT;
	e = read_routes(r->view, &route, &count);
	if (e != OK)
		return e;
	d = sip_dialog_create(r->pool == POOL_LEGACY ? POOL_LEGACY : POOL_NEW, r->to_uri, r->from_uri,
			      r->call_id);
	if (r->local_tag != NULL)
		replace(&d->local_tag, r->local_tag);
	d->remote_tag = xstrdup(r->from_tag);
	d->target = xstrdup(r->contact_uri);
	d->remote_cseq = r->cseq;
	d->route = route;
	d->route_count = count;
	*out = d;
	return OK;
}

/* A dialog that has its tag has its route set, too: it does not change (section 12.2). */
static void complete(struct sip_dialog *d, const char *tag, const struct sip_view *view, bool reversed)
{
	char **route = NULL;
	size_t count = 0;

	if (d->remote_tag != NULL || tag == NULL || !fits(tag, SIP_TAG_MAX))
		return;
	d->remote_tag = xstrdup(tag);
	/* A route set that cannot be read is none: the requests go to the pool, which knows the rest of the way. */
	if (view == NULL || read_routes(view, &route, &count) != OK)
		return;
	if (reversed)
		reverse(route, count);
	free_routes(d->route, d->route_count);
	d->route = route;
	d->route_count = count;
}

void sip_dialog_confirm(struct sip_dialog *d, const struct sip_response *response)
{
	complete(d, response->to_tag, response->view, true);
	if (response->contact_uri != NULL && is_uri(response->contact_uri))
		replace(&d->target, response->contact_uri);
}

static bool refreshes_target(const char *method)
{
	static const char *const methods[] = { "INVITE", "SUBSCRIBE", "NOTIFY", "BENOTIFY" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(method, methods[i]) == 0)
			return true;
	return false;
}

bool sip_dialog_take(struct sip_dialog *d, const struct sip_request *r)
{
	if (d->remote_cseq != 0 && r->cseq <= d->remote_cseq)
		return false;
	d->remote_cseq = r->cseq;
	complete(d, r->from_tag, r->view, false);
	if (refreshes_target(r->method) && r->contact_uri != NULL && is_uri(r->contact_uri))
		replace(&d->target, r->contact_uri);
	return true;
}

/* --- keys --- */

static bool make_key(const char *call_id, const char *remote_tag, const char *local_tag,
		     char out[SIP_DIALOG_KEY_SIZE])
{
	if (!fits(call_id, SIP_CALL_ID_MAX) || !fits(local_tag, SIP_TAG_MAX) ||
	    !fits(remote_tag, SIP_TAG_MAX))
		return false;
	snprintf(out, SIP_DIALOG_KEY_SIZE, "%s\n%s\n%s", call_id, remote_tag, local_tag);
	for (char *s = out + strlen(call_id); *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s = (char)(*s + ('a' - 'A'));
	return true;
}

bool sip_dialog_key(const struct sip_dialog *d, char out[SIP_DIALOG_KEY_SIZE])
{
	return make_key(d->call_id, d->remote_tag != NULL ? d->remote_tag : "", d->local_tag, out);
}

bool sip_request_dialog_key(const struct sip_request *r, char out[SIP_DIALOG_KEY_SIZE])
{
	return r->to_tag != NULL && r->from_tag != NULL && make_key(r->call_id, r->from_tag, r->to_tag, out);
}

bool sip_request_early_key(const struct sip_request *r, char out[SIP_DIALOG_KEY_SIZE])
{
	return r->to_tag != NULL && make_key(r->call_id, "", r->to_tag, out);
}

bool sip_request_caller_key(const struct sip_request *r, char out[SIP_DIALOG_KEY_SIZE])
{
	return r->from_tag != NULL && make_key(r->call_id, r->from_tag, "", out);
}

/* --- writing down, reading back --- */

json_t *sip_dialog_write(const struct sip_dialog *d)
{
	json_t *route = json_array();

	for (size_t i = 0; i < d->route_count; i++)
		json_array_append_new(route, json_string(d->route[i]));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:o, s:I, s:I}", "pool", pool_names[d->pool],
			 "call_id", d->call_id, "local_uri", d->local_uri, "local_tag", d->local_tag,
			 "remote_uri", d->remote_uri, "remote_tag", d->remote_tag, "target", d->target,
			 "route", route, "local_cseq", (json_int_t)d->local_cseq, "remote_cseq",
			 (json_int_t)d->remote_cseq);
}

static bool is_text(const char *s, size_t max)
{
	char scratch[SIP_URI_SIZE];

	return s[0] != '\0' && strlen(s) <= max && sip_header_text(s, scratch, sizeof(scratch)) == OK;
}

static enum err read_route_list(const json_t *list, struct sip_dialog *d)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > SIP_ROUTES_MAX)
		return ERR_SYNTAX;
	d->route = count > 0 ? xcalloc(count, sizeof(*d->route)) : NULL;
	for (; d->route_count < count; d->route_count++) {
		const char *uri = json_string_value(json_array_get(list, d->route_count));

		if (uri == NULL || !is_uri(uri))
			return ERR_SYNTAX;
		d->route[d->route_count] = xstrdup(uri);
	}
	return OK;
}

/* All of what json_unpack() has found. */
struct record {
	const char *pool, *call_id, *local_uri, *local_tag, *remote_uri, *remote_tag, *target;
	json_t *route;
	json_int_t local_cseq, remote_cseq;
};

static bool is_valid(const struct record *r)
{
	return is_text(r->call_id, SIP_CALL_ID_MAX) && is_text(r->local_tag, SIP_TAG_MAX) &&
	       (r->remote_tag == NULL || is_text(r->remote_tag, SIP_TAG_MAX)) && is_uri(r->local_uri) &&
	       is_uri(r->remote_uri) && (r->target == NULL || is_uri(r->target)) && r->local_cseq >= 0 &&
	       r->local_cseq <= CSEQ_MAX && r->remote_cseq >= 0 && r->remote_cseq <= UINT32_MAX &&
	       (strcmp(r->pool, pool_names[POOL_NEW]) == 0 || strcmp(r->pool, pool_names[POOL_LEGACY]) == 0);
}

enum err sip_dialog_read(const json_t *j, struct sip_dialog **out)
{
	struct record r = { .pool = NULL };
	struct sip_dialog *d;
	enum err e;

	/* Reads only; Jansson's type says nothing of it. */
	if (json_unpack((json_t *)(uintptr_t)j, "{s:s, s:s, s:s, s:s, s:s, s?s, s?s, s:o, s:I, s:I !}",
			"pool", &r.pool, "call_id", &r.call_id, "local_uri", &r.local_uri, "local_tag",
			&r.local_tag, "remote_uri", &r.remote_uri, "remote_tag", &r.remote_tag, "target",
			&r.target, "route", &r.route, "local_cseq", &r.local_cseq, "remote_cseq",
			&r.remote_cseq) != 0 ||
	    !is_valid(&r))
		return ERR_SYNTAX;
	d = sip_dialog_create(strcmp(r.pool, pool_names[POOL_NEW]) == 0 ? POOL_NEW : POOL_LEGACY, r.local_uri,
			      r.remote_uri, r.call_id);
	replace(&d->local_tag, r.local_tag);
	d->remote_tag = copy(r.remote_tag);
	d->target = copy(r.target);
	d->local_cseq = (uint32_t)r.local_cseq;
	d->remote_cseq = (uint32_t)r.remote_cseq;
	e = read_route_list(r.route, d);
	if (e != OK)
		sip_dialog_free(d);
	else
		*out = d;
	return e;
}
