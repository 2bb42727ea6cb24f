/*
 * daemon_control.c - what poolbridgectl may ask of the running daemon, one
 * function each, and their table.
 *
 * Nothing is decided here: a request is read, a module is asked, its answer goes
 * back. A request that makes no sense is answered with an error.
 */
#include "config.h"
#include "bridge/daemon_internal.h"

#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "bridge/ctl/control.h"
#include "bridge/gateway/gateway.h"
#include "bridge/route/changes.h"
#include "bridge/route/custody.h"
#include "bridge/route/router.h"
#include "bridge/xmpp/s2s.h"
#include "db/ledger.h"

/* --- status --- */

static json_t *state_status(const struct daemon *d)
{
	struct ledger_counts counts = { 0 };
	enum err e = ledger_count(d->ledger, &counts);
	const char *trouble = e == OK ? state_trouble(d->state) : db_error(state_db(d->state));

	return json_pack("{s:s, s:I, s:I, s:b, s:s}", "path", d->config->state, "subscriptions",
			 (json_int_t)counts.subscriptions, "dialogs", (json_int_t)counts.dialogs, "writable",
			 trouble[0] == '\0', "trouble", trouble);
}

static json_t *listeners(const struct daemon *d)
{
	const struct config_list *sip = &d->config->sip.listen;
	json_t *list = s2s_listeners(d->s2s);

	for (size_t i = 0; i < sip->count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "edge", "sip", "address", sip->item[i]));
	return list;
}

static void status(void *ctx, const json_t *request, struct control_reply *reply)
{
	const struct daemon *d = ctx;
	json_t *o = json_object();

	(void)request;

	json_object_set_new(o, "running", json_true());
	json_object_set_new(o, "version", json_string(PACKAGE_VERSION));
	json_object_set_new(o, "pid", json_integer(getpid()));
	json_object_set_new(o, "stopping", json_boolean(d->stopping));
	json_object_set_new(o, "listeners", listeners(d));
	json_object_set_new(o, "links", s2s_links(d->s2s));
	json_object_set_new(o, "spool", custody_status(d->custody));
	json_object_set_new(o, "duplicates", duplicates_status(d->duplicates));
	json_object_set_new(o, "moves", changes_status(d->changes));
	json_object_set_new(o, "state", state_status(d));
	json_object_set_new(o, "router", router_status(d->router));
	json_object_set_new(o, "gateway", gateway_status(d->gateway));
	control_reply(reply, o);
}

static void streams(void *ctx, const json_t *request, struct control_reply *reply)
{
	const struct daemon *d = ctx;

	(void)request;
	control_reply(reply, json_pack("{s:o}", "links", s2s_links(d->s2s)));
}

static void on_checked(void *ctx, json_t *report)
{
	control_reply(ctx, report);
}

/* {"command": "check-partner", "local": DOMAIN, "partner": DOMAIN} */
static void check_partner(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;
	const char *local = json_string_value(json_object_get(request, "local"));
	const char *partner = json_string_value(json_object_get(request, "partner"));
	char local_domain[JID_DOMAIN_MAX + 1], partner_domain[JID_DOMAIN_MAX + 1];

	if (!local || !partner || jid_domain(local, local_domain) != OK ||
	    jid_domain(partner, partner_domain) != OK || d->stopping)
		control_reply(reply, json_pack("{s:s}", "error", "expected \"local\" and \"partner\""));
	else
		s2s_check(d->s2s, local_domain, partner_domain, on_checked, reply);
}

/* --- the spool --- */

/* An answer that says what is on disk is given when it is. */
struct answer {
	struct daemon *daemon;
	struct control_reply *reply;
	json_t *document;
	bool scrub; /* what was erased is to be in no file any more */
};

static json_t *failed(const char *why)
{
	return json_pack("{s:s}", "failed", why);
}

static void on_answer_commit(void *ctx, enum err e)
{
	struct answer *a = ctx;
	const char *why = NULL;

	if (e != OK)
		why = "the state file cannot be written now, and nothing is changed there: see the log";
	else if (a->scrub && state_scrub(a->daemon->state) != OK)
		why = "erased, but traces are left in the log beside the state file, for another program "
		      "reads it: ask again in a minute";
	if (why != NULL) {
		json_decref(a->document);
		a->document = failed(why);
	}
	control_reply(a->reply, a->document);
	free(a);
}

static void answer_on_commit(struct daemon *d, struct control_reply *reply, json_t *document, bool scrub)
{
	struct answer *a = xcalloc(1, sizeof(*a));

	*a = (struct answer){ d, reply, document, scrub };
	state_on_commit(d->state, on_answer_commit, a);
}

static const char *spool_words(const struct daemon *d, enum err e)
{
	return e == ERR_NOT_FOUND ? "it does not wait any more"
	       : e == ERR_BUSY    ? "it is on its way now: ask again in a minute"
				  : spool_error(d->spool);
}

/* {"messages": how many it was done to, "refused": [{"id", "why"}, ...]} */
static json_t *for_each_id(struct daemon *d, const json_t *ids,
			   enum err (*change)(struct custody *c, int64_t id))
{
	json_t *refused = json_array(), *id;
	json_int_t done = 0;
	size_t i;

	json_array_foreach ((json_t *)ids, i, id) {
		enum err e = change(d->custody, json_integer_value(id));

		if (e == OK)
			done++;
		else
			json_array_append_new(refused,
					      json_pack("{s:O, s:s}", "id", id, "why", spool_words(d, e)));
	}
	return json_pack("{s:I, s:o}", "messages", done, "refused", refused);
}

/* {"ids": [...]}, or {"user": ADDRESS} for all of his, or neither for all. */
static void spool_retry(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;
	const json_t *ids = json_object_get(request, "ids");
	const char *user = json_string_value(json_object_get(request, "user"));

	if (ids != NULL) {
		answer_on_commit(d, reply, for_each_id(d, ids, custody_retry), false);
		return;
	}
	custody_wake(d->custody, user);
	control_reply(reply, json_pack("{s:I, s:[]}", "messages", (json_int_t)custody_count(d->custody, user),
				       "refused"));
}

/* {"ids": [...]} */
static void spool_bounce(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;

	answer_on_commit(d, reply, for_each_id(d, json_object_get(request, "ids"), custody_bounce), false);
}

/* {"address": ADDRESS} */
static void erase(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;
	const char *address = json_string_value(json_object_get(request, "address"));
	int64_t messages = 0, subscriptions = 0;
	enum err e;

	if (address == NULL) {
		control_reply(reply, failed("no address"));
		return;
	}
	e = custody_erase(d->custody, address, &messages);
	if (e == OK)
		e = ledger_erase(d->ledger, address, &subscriptions);
	if (e != OK) {
		control_reply(reply, failed(spool_error(d->spool)));
		return;
	}
	gateway_erase(d->gateway, address);
	answer_on_commit(d, reply,
			 json_pack("{s:I, s:I}", "messages", (json_int_t)messages, "subscriptions",
				   (json_int_t)subscriptions),
			 true);
}

static const struct control_provider providers[] = {
	{ "status", status },           { "streams", streams },           { "check-partner", check_partner },
	{ "spool-retry", spool_retry }, { "spool-bounce", spool_bounce }, { "erase", erase },
};

enum err daemon_open_control(struct daemon *d, const char **why)
{
	return control_create(d->loop, d->config->control_socket, providers, ARRAY_SIZE(providers), d,
			      &d->control, why);
}
