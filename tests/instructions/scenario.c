/*
 * scenario.c - a fixed number of messages through the whole of poolbridge, in memory: what tests/check-instructions
 * counts the instructions of.
 *
 *     scenario FOLDER PATH COUNT
 *
 * PATH is "pass" (a partner's stream to the legacy gateway's link), "to-sip" or "from-sip" (to the new pool and
 * from it). The registry and the state file, in FOLDER, which must be empty, are real; sockets, time and random numbers are those of
 * tests/fuzz/s2s_world.h, the SIP endpoint is pool.h's. So each run does the same, down to the instruction. All messages must
 * arrive and be acknowledged: else the exit status is 1.
 */
#include "config.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"
#include "bridge/gateway/gateway.h"
#include "bridge/route/router.h"
#include "bridge/xmpp/s2s_internal.h"
#include "db/state.h"
#include "tests/fuzz/s2s_world.h"
#include "tests/instructions/pool.h"

enum { BATCH = 32, PAIRS = 8, TURN_MS = 5 };

#define PARTNER_SIDE "from='partner.test' to='corp.test'"
#define OUR_SIDE     "from='corp.test' to='partner.test'"
#define TEXT                                                                                                 \
	"Two households, both alike in dignity, in fair Verona, where we lay our scene, from ancient "       \
	"grudge break to new mutiny, where civil blood makes civil hands unclean. From forth the fatal "     \
	"loins"

static struct {
	struct config *config;
	struct db *registry;
	struct state *state;
	struct s2s *s2s;
	struct router *router;
	struct custody *custody;
	struct spool *spool;
	struct duplicates *duplicates;
	struct gateway *gateway;
	struct sock *in, *out; /* what the partner writes to; the link that is written to */
	unsigned made, acknowledged;
} run;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "scenario: %s\n", what);
	exit(1);
}

static void must(enum err e, const char *what)
{
	if (e != OK)
		fail(what);
}

/* --- what bridge/daemon.c does --- */

static void on_stanza(void *ctx, enum edge edge, struct stanza *stanza, const struct jid *from,
		      const struct jid *to, struct receipt receipt)
{
	const struct submission s = { .origin = edge == EDGE_EXTERNAL ? ORIGIN_PARTNER : ORIGIN_LEGACY,
				      .stanza = stanza,
				      .from = from,
				      .to = to,
				      .receipt = receipt };

	(void)ctx;
	router_submit(run.router, &s);
}

static void turn(void)
{
	world.now += TURN_MS;
	world_turn();
	duplicates_flush(run.duplicates);
	if (state_commit(run.state))
		world_turn();
}

static void write_config(const char *folder)
{
	char *path = xasprintf("%s/poolbridge.conf", folder);
	FILE *out = fopen(path, "w");
	const char *why = "it cannot be written";

	if (out == NULL ||
	    fprintf(out,
		    "registry = \"%s/registry.db\"; state = \"%s/state.db\";\n"
		    "external: { listen = [ ]; }; internal: { gateway = \"192.0.2.20:5269\"; };\n"
		    "sip: { listen = [ \"udp:192.0.2.1:5060\" ]; new_pool = \"sip:192.0.2.50\"; "
		    "legacy_pool = \"sip:192.0.2.51\"; new_pool_mode = \"pager\"; };\n"
		    "s2s: { stanza_rate = 1000000; stanza_burst = 1000000; };\n",
		    folder, folder) < 0 ||
	    fclose(out) != 0 || config_load(path, &run.config, &why) != OK)
		fail(why);
	free(path);
}

/* By hand, as an administrator may: and the key of the window's hashes is the same each time. */
static void fill(const char *path, const char *sql)
{
	sqlite3 *file;

	if (sqlite3_open(path, &file) != SQLITE_OK || sqlite3_exec(file, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail(sqlite3_errmsg(file));
	sqlite3_close(file);
}

static void open_registry(void)
{
	const char *why;

	if (db_open(run.config->registry, &run.registry, &why) != OK)
		fail(why);
	fill(run.config->registry,
	     "INSERT INTO domain (name) VALUES ('corp.test');"
	     "INSERT INTO partner (name) VALUES ('partner.test');"
	     "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 7) "
	     "INSERT INTO user (address, domain, mark) SELECT 'old' || i || '@corp.test', 'corp.test', "
	     "'legacy' FROM n UNION ALL SELECT 'new' || i || '@corp.test', 'corp.test', 'migrated' FROM n");
	registry_keep_rows(run.registry);
}

static void open_memory(void)
{
	const struct spool_limits limits = { 1000, 1000000, 1000, 1000000, 1000, 1000000 };
	struct custody_setup setup = { .config = run.config,
				       .submit = router_release,
				       .bounce = router_expire };
	struct duplicates_setup window = { .count = 4096, .time_ms = 1800000 };

	run.spool = spool_create(run.state, &limits);
	setup.state = window.state = run.state;
	setup.spool = run.spool;
	setup.ctx = run.router;
	must(custody_create(&setup, &run.custody), "custody");
	must(duplicates_create(&window, &run.duplicates), "duplicates");
	router_set_custody(run.router, run.custody);
	router_set_duplicates(run.router, run.duplicates);
}

static void open_all(const char *folder)
{
	struct s2s_setup setup = { .on_stanza = on_stanza };
	struct gateway_setup gateway = { 0 };
	const char *why = "";

	write_config(folder);
	open_registry();
	if (state_open(run.config->state, &run.state, &why) != OK)
		fail(why);
	fill(run.config->state, "UPDATE seen_key SET bytes = x'000102030405060708090a0b0c0d0e0f'");
	setup.config = run.config;
	setup.db = run.registry;
	if (s2s_create(&setup, &run.s2s, &why) != OK)
		fail(why);
	run.router = router_create(run.s2s, run.registry);
	open_memory();
	gateway.config = run.config;
	gateway.router = run.router;
	if (gateway_create(&gateway, &run.gateway, &why) != OK)
		fail(why);
}

static void close_all(void)
{
	custody_end(run.custody);
	gateway_abort(run.gateway);
	s2s_destroy(run.s2s);
	gateway_destroy(run.gateway);
	router_destroy(run.router);
	custody_destroy(run.custody);
	duplicates_destroy(run.duplicates);
	world_retire();
	spool_destroy(run.spool);
	state_close(run.state);
	db_close(run.registry);
	config_free(run.config);
	world_end();
}

/* --- the peers --- */

static void hear(struct sock *s, const char *text)
{
	world_input(s, text, strlen(text));
	turn();
}

static void hear_header(struct sock *s, const char *sides, const char *features)
{
	char *text = xasprintf("<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
			       "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' id='x' %s>%s",
			       sides, features);

	hear(s, text);
	free(text);
}

/* The partner's stream: TLS, SASL EXTERNAL, XEP-0198. */
static void come(void)
{
	stream_accept(run.s2s, EDGE_EXTERNAL, true, -1);
	run.in = world.socks;
	world_handshake(run.in, true);
	hear_header(run.in, PARTNER_SIDE, "");
	hear(run.in, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
	hear_header(run.in, PARTNER_SIDE, "");
	hear(run.in, "<enable xmlns='urn:xmpp:sm:3'/>");
	if (!strbuf_has(&run.in->out, 0, "<enabled"))
		fail("the partner's stream is not trusted");
}

/* The link that the first stanza has asked for. sides: the peer's; secure: it is a partner's. */
static void be_reached(const char *sides, bool secure)
{
	static const char offers[] = "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/>"
				     "<sm xmlns='urn:xmpp:sm:3'/></stream:features>";
	char *valid = xasprintf("<db:result %s type='valid'/>", sides);

	world_answer_dns(1, secure, false);
	turn();
	run.out = world.socks;
	world_connected(run.out);
	world_handshake(run.out, true);
	turn();
	hear_header(run.out, sides, offers);
	hear(run.out, valid);
	hear(run.out, "<enabled xmlns='urn:xmpp:sm:3'/>");
	free(valid);
}

/* What came by the link since the last time is acknowledged. */
static void acknowledge(unsigned count)
{
	char h[64];

	snprintf(h, sizeof(h), "<a xmlns='urn:xmpp:sm:3' h='%u'/>", count);
	hear(run.out, h);
}

static void write_messages(const char *users, unsigned count, struct strbuf *b)
{
	for (unsigned i = 0; i < count; i++, run.made++)
		strbuf_printf(b,
			      "<message from='juliet%u@partner.test/balcony' to='%s%u@corp.test' type='chat' "
			      "id='m%u' xml:lang='en'><body>%u " TEXT "</body><active "
			      "xmlns='http://jabber.org/protocol/chatstates'/></message>",
			      run.made % PAIRS, users, run.made % PAIRS, run.made, run.made);
}

static void write_batch(const char *users, unsigned count)
{
	struct strbuf b = { 0 };

	write_messages(users, count, &b);
	strbuf_puts(&b, "<r xmlns='urn:xmpp:sm:3'/>");
	hear(run.in, b.s);
	strbuf_free(&b);
}

/* The partner has been told of all. */
static bool is_acknowledged(unsigned count)
{
	char *last = xasprintf(" h='%u'/>", count);
	bool found = strbuf_has(&run.in->out, 0, last);

	free(last);
	return found;
}

/* --- the paths --- */

static unsigned pass(unsigned count)
{
	come();
	for (unsigned n = 0; n < count; n += BATCH) {
		write_batch("old", BATCH);
		if (n == 0)
			be_reached(OUR_SIDE, false);
		acknowledge(run.made);
	}
	return is_acknowledged(run.made) ? run.made : 0;
}

static unsigned to_sip(unsigned count)
{
	unsigned answered = 0;

	come();
	for (unsigned n = 0; n < count; n += BATCH) {
		write_batch("new", BATCH);
		/* One request of each pair is under way at a time. */
		for (unsigned i = 0; i < BATCH / PAIRS; i++) {
			answered = pool_answer();
			turn();
		}
	}
	return is_acknowledged(run.made) ? answered : 0;
}

static unsigned from_sip(unsigned count)
{
	for (unsigned n = 0; n < count; n += BATCH) {
		for (unsigned i = 0; i < BATCH; i++, run.made++) {
			char from[64], to[64], id[32], text[256];

			snprintf(from, sizeof(from), "sip:new%u@corp.test", run.made % PAIRS);
			snprintf(to, sizeof(to), "sip:juliet%u@partner.test", run.made % PAIRS);
			snprintf(id, sizeof(id), "call-%u", run.made);
			snprintf(text, sizeof(text), "%u " TEXT, run.made);
			pool_send_message(from, to, id, text);
		}
		turn();
		if (n == 0)
			be_reached(PARTNER_SIDE, true);
		acknowledge(run.made);
	}
	return pool_accepted();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned (*run)(unsigned count);
	} paths[] = { { "pass", pass }, { "to-sip", to_sip }, { "from-sip", from_sip } };
	unsigned count = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;

	if (count == 0 || count % BATCH != 0)
		fail("Usage: scenario FOLDER PATH COUNT (a multiple of 32)");
	log_set_level(LOG_ERROR);
	world_begin();
	world.trust = CERTIFICATE_TRUSTED;
	open_all(argv[1]);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (strcmp(argv[2], paths[i].name) == 0 && paths[i].run(count) != count)
			fail("not every message arrived and was acknowledged");
	}
	close_all();
	return run.made == count ? 0 : 1;
}
