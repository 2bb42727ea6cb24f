/*
 * daemon_control.c - what poolbridgectl may ask of the running daemon, one
 * function each, and their table.
 *
 * Nothing is decided here: a request is read, a module is asked, its answer goes
 * back. A request that makes no sense is answered with an error.
 */
#include "config.h"
#include "bridge/daemon_internal.h"

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

static json_t *counted(size_t messages)
{
	return json_pack("{s:b, s:I}", "running", 1, "messages", (json_int_t)messages);
}

static json_t *spool_failed(const struct daemon *d, enum err e)
{
	const char *why = e == ERR_NOT_FOUND ? "no such message waits; it may have gone on meanwhile"
			  : e == ERR_BUSY    ? "this message is on its way now; ask again in a minute"
					     : spool_error(d->spool);

	return json_pack("{s:b, s:s}", "running", 1, "error", why);
}

static void spool_retry(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;
	const char *user = json_string_value(json_object_get(request, "user"));

	custody_wake(d->custody, user);
	control_reply(reply, counted(custody_count(d->custody, user)));
}

static void spool_bounce(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;
	enum err e = custody_bounce(d->custody, json_integer_value(json_object_get(request, "id")));

	control_reply(reply, e == OK ? counted(1) : spool_failed(d, e));
}

static void spool_erase_user(void *ctx, const json_t *request, struct control_reply *reply)
{
	struct daemon *d = ctx;
	const char *user = json_string_value(json_object_get(request, "user"));
	int64_t count = 0;
	enum err e = user != NULL ? custody_erase(d->custody, user, &count) : ERR_NOT_FOUND;

	control_reply(reply, e == OK ? counted((size_t)count) : spool_failed(d, e));
}

static const struct control_provider providers[] = {
	{ "status", status },           { "streams", streams },           { "check-partner", check_partner },
	{ "spool-retry", spool_retry }, { "spool-bounce", spool_bounce }, { "spool-erase", spool_erase_user },
};

enum err daemon_open_control(struct daemon *d, const char **why)
{
	return control_create(d->loop, d->config->control_socket, providers, ARRAY_SIZE(providers), d,
			      &d->control, why);
}
