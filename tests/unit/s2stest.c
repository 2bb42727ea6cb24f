/* The s2s edge in a world of memory: what its unit tests have in common. */
#include "tests/unit/s2stest.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/core/log.h"

const struct config s2stest_config = {
	.component = { .server = "", .domain = "", .secret = "" },
	.external = { .bind = "" },
	.internal = { .gateway = "gateway.corp.test:5269", .bind = "", .tls = REQUIRE_OPTIONAL },
	.dialback = { .secret = "secret" },
	.s2s = { .stanza_bytes = 20000,
		 .depth = 20,
		 .elements = 50,
		 .attributes = 10,
		 .streams = 50,
		 .streams_per_partner = 20,
		 .streams_per_address = 20,
		 .streams_unauthenticated = 20,
		 .stanza_rate = 10,
		 .stanza_burst = 5,
		 .pairs_per_stream = 3,
		 .window_bytes = 8000,
		 .window_total = 64000,
		 .connect_ms = 5000,
		 .establish_ms = 60000,
		 .inactivity_ms = 600000,
		 .keepalive_ms = 300000,
		 .queue_stanzas = 8,
		 .queue_bytes = 40000,
		 .queue_ms = 30000,
		 .confirm_ms = 2000,
		 .backoff_min_ms = 1000,
		 .backoff_max_ms = 60000 },
};

struct s2s *s2s;
unsigned stanzas, confirmed, failed;
enum condition failure;
bool holding;
struct receipt unfinished[200];
size_t unfinished_count;

static void on_stanza(void *ctx, enum edge edge, struct stanza *stanza, const struct jid *from,
		      const struct jid *to, struct receipt receipt)
{
	(void)ctx, (void)edge, (void)stanza, (void)from, (void)to;
	stanzas++;
	if (unfinished_count < ARRAY_SIZE(unfinished) && holding)
		unfinished[unfinished_count++] = receipt;
	else
		s2s_receipt_done(s2s, receipt);
}

void on_delivered(void *ctx, struct stanza *stanza, const struct outcome *outcome)
{
	(void)ctx, (void)stanza;
	(*(outcome->confirmed ? &confirmed : &failed))++;
	failure = outcome->condition;
}

int s2stest_begin(void **state)
{
	const struct s2s_setup setup = { .config = &s2stest_config, .on_stanza = on_stanza };
	const char *why;

	(void)state;
	log_set_level(LOG_ERROR);
	world_begin();
	stanzas = confirmed = failed = 0;
	holding = false;
	unfinished_count = 0;
	return s2s_create(&setup, &s2s, &why) == OK ? 0 : -1;
}

int s2stest_end(void **state)
{
	(void)state;
	s2s_destroy(s2s);
	world_retire();
	world_end();
	return 0;
}

/* --- the peer's part --- */

void hear(struct sock *s, const char *text)
{
	world_input(s, text, strlen(text));
	world_turn();
}

void pass(int64_t ms)
{
	for (; ms > 0; ms -= 10) {
		world.now += 10;
		world_turn();
	}
}

struct sock *newest(void)
{
	return world.socks;
}

/* Our own connection, up to the peer's features. */
struct sock *reach(const char *pair)
{
	struct sock *before = newest(), *s;
	char *header = xasprintf(HEADER "%s>" FEATURES, pair);

	world_answer_dns(1, false, false);
	world_turn();
	s = newest();
	assert_ptr_not_equal(s, before);
	world_connected(s);
	world_turn();
	hear(s, header);
	free(header);
	return s;
}

struct sock *come(void)
{
	struct sock *s;

	stream_accept(s2s, EDGE_EXTERNAL, false, -1);
	s = newest();
	hear(s, HEADER PAIR ">");
	return s;
}

/* One that shows a key, so that partner.test must be asked about it. */
struct sock *come_with_key(void)
{
	struct sock *s = come();

	hear(s, "<db:result" PAIR ">0123</db:result>");
	return s;
}

bool says(const struct sock *s, size_t from, const char *text)
{
	return strbuf_has(&s->out, from, text);
}

/* What follows `before` in the output, from there on; never NULL. */
const char *said_behind(const struct sock *s, size_t from, const char *before)
{
	const char *found = s->out.len > from ? strstr(s->out.s + from, before) : NULL;

	assert_non_null(found);
	return found + strlen(before);
}

/* The authority of `ours` is asked by `theirs`. */
void answer(struct sock *s, size_t from, const char *ours, const char *theirs, const char *verdict)
{
	char *question = xasprintf("<db:verify from='%s' to='%s' id='", theirs, ours), *text;
	const char *id = said_behind(s, from, question);

	text = xasprintf("<db:verify from='%s' to='%s' id='%.*s' type='%s'/>", ours, theirs,
			 (int)strcspn(id, "'"), id, verdict);
	hear(s, text);
	free(text);
	free(question);
}

void answer_question(struct sock *s, size_t from, const char *verdict)
{
	answer(s, from, "partner.test", "corp.test", verdict);
}

/* The ping that went out on `on`; answers come by another stream. */
void answer_ping(const struct sock *on, size_t from, struct sock *by)
{
	const char *id = said_behind(on, from, "<iq type='get' id='");
	char *text = xasprintf("<iq type='result' id='%.*s' from='corp.test' to='partner.test'/>",
			       (int)strcspn(id, "'"), id);

	hear(by, text);
	free(text);
}

size_t send_large(size_t size)
{
	struct strbuf inner = { 0 };
	struct stanza *stanza;
	size_t sent;

	strbuf_puts(&inner, "<x xmlns='urn:x' a='");
	for (size_t i = 0; i < size; i++)
		strbuf_putc(&inner, 'a');
	strbuf_puts(&inner, "'/>");
	stanza = stanza_make(STANZA_MESSAGE, "juliet@partner.test", "romeo@corp.test", "i", "chat", NULL,
			     &inner);
	strbuf_free(&inner);
	sent = stanza->size;
	s2s_send(s2s, EDGE_INTERNAL, "partner.test", "corp.test", stanza, 0, on_delivered, NULL);
	stanza_unref(stanza);
	world_turn();
	return sent;
}

/* A link to the legacy gateway that has answered a ping, and the stream by which it answers. */
struct sock *open_link(struct sock **back)
{
	struct sock *s;

	send_large(1000);
	s = reach(" from='corp.test' to='partner.test'");
	hear(s, "<db:result from='corp.test' to='partner.test' type='valid'/>");
	stream_accept(s2s, EDGE_INTERNAL, false, -1);
	*back = newest();
	hear(*back, HEADER " from='corp.test' to='partner.test'>");
	hear(*back, "<db:result from='corp.test' to='partner.test'>0123</db:result>");
	answer(s, 0, "corp.test", "partner.test", "valid");
	pass(50);
	answer_ping(s, 0, *back);
	assert_int_equal(confirmed, 1);
	return s;
}
