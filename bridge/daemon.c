/*
 * daemon.c - wiring: makes the modules in order, points their callbacks at each
 * other, turns signals into stop and reload, and tells systemd.
 *
 * It decides nothing about messages and knows no protocol. It owns every module;
 * they are destroyed in the reverse order, after the gateway and then the edges
 * have answered whatever was still under way.
 *
 * What fails before the daemon is ready is said in words on standard error and
 * ends it; what fails later is logged and survived.
 */
#include "config.h"
#include "bridge/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "bridge/core/log.h"
#include "bridge/core/loop.h"
#include "bridge/ctl/control.h"
#include "bridge/daemon_internal.h"
#include "bridge/gateway/gateway.h"
#include "bridge/route/changes.h"
#include "bridge/route/ledger_tap.h"
#include "bridge/route/router.h"
#include "bridge/sip/tls.h"
#include "bridge/xmpp/dns.h"
#include "bridge/xmpp/s2s.h"
#include "bridge/xmpp/tls.h"
#include "db/ledger.h"
#include "db/registry.h"
#include "db/state.h"

enum { EXIT_CLEAN = 0, EXIT_RUNTIME = 1 };

/* --- messages --- */

static void on_stanza(void *ctx, enum edge edge, struct stanza *stanza, const struct jid *from,
		      const struct jid *to, struct receipt receipt)
{
	struct daemon *d = ctx;
	const struct submission s = {
		.origin = edge == EDGE_EXTERNAL ? ORIGIN_PARTNER : ORIGIN_LEGACY,
		.stanza = stanza,
		.from = from,
		.to = to,
		.receipt = receipt,
	};

	router_submit(d->router, &s);
}

/* --- the state file --- */

/*
 * The last hook of its phase, so that what delivery callbacks write is in it; and what they say has
 * arrived is written before the acknowledgements leave. Those who waited for it may have begun something
 * that needs another turn.
 */
static void on_commit(void *ctx)
{
	struct daemon *d = ctx;

	duplicates_flush(d->duplicates);
	if (state_commit(d->state))
		loop_timer_set(d->another_turn, 0);
}

static void on_another_turn(void *ctx)
{
	(void)ctx; /* it is there */
}

static enum err open_state(struct daemon *d, const char **why)
{
	const struct ledger_limits limits = { d->config->presence.subscriptions_per_user,
					      d->config->presence.subscriptions };
	enum err e = state_open(d->config->state, &d->state, why);

	if (e != OK)
		return e;
	d->ledger = ledger_create(d->state, &limits);
	d->tap = ledger_tap_create(d->ledger);
	return OK;
}

static const char *explain_spool(const struct daemon *d)
{
	static char words[1024];

	snprintf(words, sizeof(words),
		 "%s: %s: restore it from a copy, or save what is left with: sqlite3 FILE .recover",
		 d->config->state, spool_error(d->spool));
	return words;
}

static enum err open_custody(struct daemon *d, const char **why)
{
	const struct config *c = d->config;
	const struct spool_limits limits = { c->spool.messages_per_user, c->spool.bytes_per_user,
					     c->spool.messages_per_hop,  c->spool.bytes_per_hop,
					     c->spool.messages,          c->spool.bytes };
	struct custody_setup setup = { .loop = d->loop,
				       .state = d->state,
				       .config = c,
				       .submit = router_release,
				       .bounce = router_expire };
	enum err e;

	d->spool = spool_create(d->state, &limits);
	setup.spool = d->spool;
	setup.ctx = d->router;
	e = custody_create(&setup, &d->custody);
	if (e != OK)
		*why = explain_spool(d);
	else
		router_set_custody(d->router, d->custody);
	return e;
}

static enum err open_duplicates(struct daemon *d, const char **why)
{
	const struct duplicates_setup setup = { .loop = d->loop,
						.state = d->state,
						.count = d->config->spool.window,
						.time_ms = d->config->spool.window_ms };
	enum err e = duplicates_create(&setup, &d->duplicates);

	if (e != OK)
		*why = explain_spool(d);
	else
		router_set_duplicates(d->router, d->duplicates);
	return e;
}

/* --- the registry --- */

/* What was held for a user goes on, after all that the others have to end or to begin for him. */
static void on_changed(void *ctx, const char *user)
{
	struct daemon *d = ctx;

	gateway_registry_changed(d->gateway, user);
	custody_wake(d->custody, user);
}

static const char *explain_registry(const struct daemon *d, enum err e)
{
	static char words[1024];
	const char *mend = db_mend(d->db, e);

	snprintf(words, sizeof(words), "%s: %s%s%s", d->config->registry, db_error(d->db),
		 mend[0] != '\0' ? ": " : "", mend);
	return words;
}

static enum err open_changes(struct daemon *d, const char **why)
{
	const struct changes_setup setup = { d->loop, d->db, d->config->spool.move_ms };
	enum err e = changes_create(&setup, &d->changes);

	if (e == OK)
		changes_subscribe(d->changes, on_changed, d);
	else
		*why = explain_registry(d, e);
	return e;
}

/* --- systemd --- */

/* Whether standard error is the journal itself (systemd.exec(5), JOURNAL_STREAM). */
static bool is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/*
 * Alive is who can decide: one read of the registry, whatever it finds. A file that was replaced is for people to
 * mend: started again by itself, the daemon would read the old one's log into the new one.
 */
static void on_watchdog(void *ctx)
{
	struct daemon *d = ctx;
	struct domain domain;
	enum err e = registry_find_domain(d->db, "watchdog.invalid", &domain);
	const bool can_decide = e == OK || e == ERR_NOT_FOUND;

	if (can_decide || db_check_place(d->db) != OK)
		sd_notify(0, "WATCHDOG=1");
	if (!can_decide)
		log_event(LOG_ERROR, "registry-unreadable", NULL, "error=%s", log_value(db_error(d->db)));
	loop_timer_set(d->watchdog, d->watchdog_ms);
}

static void start_watchdog(struct daemon *d)
{
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return;
	d->watchdog_ms = (int64_t)(usec / 1000 / 3);
	d->watchdog = loop_timer_create(d->loop, on_watchdog, d);
	loop_timer_set(d->watchdog, 0);
}

/* --- signals --- */

static void on_stopped(void *ctx)
{
	struct daemon *d = ctx;

	loop_stop(d->loop);
}

/* What the gateway told its senders, and what they were told of the rest, leaves by the edges. */
static void on_gateway_stopped(void *ctx)
{
	struct daemon *d = ctx;

	s2s_stop(d->s2s, on_stopped, d);
}

/* First the gateway, which needs the edges for what it answers; then these drain. */
static void on_stop_signal(void *ctx, int signo)
{
	struct daemon *d = ctx;

	if (d->stopping) {
		log_event(LOG_NOTICE, "stop-now", NULL, "signal=%s", sigabbrev_np(signo));
		loop_stop(d->loop);
		return;
	}
	d->stopping = true;
	log_event(LOG_NOTICE, "stopping", NULL, "signal=%s", sigabbrev_np(signo));
	sd_notify(0, "STOPPING=1");
	changes_stop(d->changes);
	custody_stop(d->custody);
	gateway_stop(d->gateway, on_gateway_stopped, d);
}

static void warn_of_changes(const struct config *was, const struct config *is)
{
	size_t count;
	const struct config_option *o = config_options(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(o[i].name, "log_level") != 0 && !config_same(&o[i], was, is))
			log_event(LOG_WARNING, "restart-needed", NULL, "option=%s", o[i].name);
	}
}

static void reload(struct daemon *d)
{
	struct config *fresh = NULL;
	const char *why = "";
	enum err e = config_load(d->config->file, &fresh, &why);

	if (e == OK)
		e = config_check_daemon(fresh, &why);
	if (e != OK) {
		log_event(LOG_ERROR, "reload-failed", NULL, "error=%s", log_value(why));
		goto done;
	}
	log_set_level(fresh->log_level);
	warn_of_changes(d->config, fresh);
	if (tls_reload(d->tls, &why) != OK)
		log_event(LOG_ERROR, "certificate-kept", NULL, "error=%s", log_value(why));
	if (gateway_reload(d->gateway, &why) != OK)
		log_event(LOG_ERROR, "sip-certificate-kept", NULL, "error=%s", log_value(why));
	log_event(LOG_NOTICE, "reloaded", NULL, "file=%s", log_value(d->config->file));
done:
	config_free(fresh);
}

static void on_reload_signal(void *ctx, int signo)
{
	struct daemon *d = ctx;

	(void)signo;
	if (d->stopping)
		return;
	sd_notify(0, "RELOADING=1");
	reload(d);
	sd_notify(0, "READY=1");
}

/* --- up --- */

/* Before any thread exists: they inherit the blocked signals, so that only the loop gets them. */
static void take_signals(struct daemon *d)
{
	signal(SIGPIPE, SIG_IGN); /* the log may be a pipe that nobody reads any more */
	loop_signal(d->loop, SIGTERM, on_stop_signal, d);
	loop_signal(d->loop, SIGINT, on_stop_signal, d);
	loop_signal(d->loop, SIGHUP, on_reload_signal, d);
}

static enum err open_dns(struct daemon *d, const char **why)
{
	const struct dns_config c = {
		.resolver = d->config->dns.resolver,
		.transparent_zones = d->config->dns.transparent_zones.item,
		.transparent_count = d->config->dns.transparent_zones.count,
		.timeout_ms = d->config->dns.timeout_ms,
		.trust_anchor = d->config->dns.trust_anchor,
	};

	*why = "the resolver could not be made; see the log, and the group dns of the configuration";
	return dns_create(d->loop, &c, &d->dns);
}

static struct tls_settings tls_settings_of(const struct config *c)
{
	return (struct tls_settings){
		.certificate = c->external.certificate,
		.key = c->external.key,
		.certificates = c->external.certificates,
		.ca = c->external.ca,
		.client_usage = c->external.certificate_usage != 0,
	};
}

static enum err open_edges(struct daemon *d, const char **why)
{
	const struct s2s_setup setup = {
		.loop = d->loop,
		.dns = d->dns,
		.db = d->db,
		.config = d->config,
		.tls = d->tls,
		.on_stanza = on_stanza,
		.ctx = d,
	};

	return s2s_create(&setup, &d->s2s, why);
}

/* The loop does not stand still for a lock: who could not look something up says so, or tries again. */
static enum err open_registry(struct daemon *d, const char **why)
{
	enum { WAIT_MS = 100 };
	enum err e = db_open(d->config->registry, &d->db, why);

	if (e != OK)
		return e;
	db_set_wait(d->db, WAIT_MS);
	registry_keep_rows(d->db);
	return OK;
}

static enum err create_all(struct daemon *d, const char **why)
{
	const struct config *c = d->config;
	enum err e = open_registry(d, why);

	if (e == OK)
		e = open_state(d, why);
	if (e != OK)
		return e;
	d->loop = loop_create();
	take_signals(d);
	e = open_dns(d, why);
	if (e == OK) {
		const struct tls_settings tls = tls_settings_of(c);

		e = tls_create(&tls, &d->tls, why);
	}
	if (e == OK)
		e = open_edges(d, why);
	if (e != OK)
		return e;
	d->another_turn = loop_timer_create(d->loop, on_another_turn, NULL);
	loop_phase_add(d->loop, LOOP_COMMIT, on_commit, d);
	d->router = router_create(d->s2s, d->db);
	router_set_tap(d->router, d->tap);
	e = open_custody(d, why);
	if (e == OK)
		e = open_duplicates(d, why);
	if (e != OK)
		return e;
	e = gateway_create(&(struct gateway_setup){ .loop = d->loop,
						    .config = c,
						    .router = d->router,
						    .dns = d->dns,
						    .ledger = d->ledger },
			   &d->gateway, why);
	if (e == OK)
		e = open_changes(d, why);
	if (e == OK)
		e = daemon_open_control(d, why);
	return e;
}

/* --- down --- */

/*
 * First the gateway lets go of what it still has, then the edges do, into a
 * router and a gateway that are both still there.
 */
static void destroy_all(struct daemon *d)
{
	loop_timer_destroy(d->watchdog);
	loop_timer_destroy(d->another_turn);
	control_destroy(d->control);
	changes_destroy(d->changes);
	if (d->custody != NULL)
		custody_end(d->custody);
	if (d->gateway != NULL)
		gateway_abort(d->gateway);
	s2s_destroy(d->s2s);
	gateway_destroy(d->gateway);
	router_destroy(d->router);
	tls_destroy(d->tls);
	dns_destroy(d->dns);
	custody_destroy(d->custody);
	duplicates_destroy(d->duplicates);
	loop_destroy(d->loop);
	spool_destroy(d->spool);
	ledger_tap_destroy(d->tap);
	ledger_destroy(d->ledger);
	state_close(d->state);
	db_close(d->db);
}

static const char *joined(const struct config_list *list, struct strbuf *b)
{
	strbuf_reset(b);
	strbuf_puts(b, list->count > 0 ? "" : "none");
	for (size_t i = 0; i < list->count; i++)
		strbuf_printf(b, "%s%s", i > 0 ? "," : "", list->item[i]);
	return log_value(b->s);
}

static void log_start(const struct config *c)
{
	struct strbuf b = { 0 };
	const char *external = joined(&c->external.listen, &b), *internal = joined(&c->internal.listen, &b);
	const char *sip = joined(&c->sip.listen, &b);

	log_event(LOG_NOTICE, "started", NULL,
		  "version=%s config=%s registry=%s state=%s external=%s internal=%s sip=%s tls=%s",
		  PACKAGE_VERSION, log_value(c->file), log_value(c->registry), log_value(c->state), external,
		  internal, sip, c->external.certificate[0] != '\0' ? "yes" : "no");
	if (c->internal.gateway[0] != '\0' && c->internal.listen.count == 0)
		log_event(LOG_WARNING, "no-internal-listener", NULL,
			  "gateway=%s hint=\"it cannot verify by dialback what we send it\"",
			  log_value(c->internal.gateway));
	strbuf_free(&b);
}

int daemon_run(const struct config *config)
{
	struct daemon d = { .config = config };
	int status = EXIT_RUNTIME;
	const char *why = "";

	log_set_level(config->log_level);
	log_set_journal(is_journal());
	if (create_all(&d, &why) != OK) {
		fprintf(stderr, "poolbridge: %s\n", why);
		goto done;
	}
	log_start(config);
	start_watchdog(&d);
	sd_notify(0, "READY=1");
	loop_run(d.loop);
	status = EXIT_CLEAN;
done:
	destroy_all(&d);
	if (status == EXIT_CLEAN)
		log_event(LOG_NOTICE, "stopped", NULL, NULL);
	return status;
}

static bool has_sip_tls(const struct config *config)
{
	for (size_t i = 0; i < config->sip.listen.count; i++)
		if (strncmp(config->sip.listen.item[i], "tls:", 4) == 0)
			return true;
	return false;
}

enum err daemon_check_certificate(const struct config *config, const char **why)
{
	const struct tls_settings settings = tls_settings_of(config);
	struct tls *tls;
	enum err e = tls_create(&settings, &tls, why);

	if (e == OK)
		tls_destroy(tls);
	return e == OK && has_sip_tls(config) ? sip_tls_check(config, why) : e;
}
