/*
 * What the relay sends on for a request, whatever is in it: one request, with
 * the method and the dialog of the received one, a hop less, all its Via, our
 * own Routes gone, and never to anybody but peers and the pools' next hops.
 *
 * "our.host" in the input stands for the address of the endpoint's listener.
 */
#include "bridge/sip/relay_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sofia-sip/sip_util.h>

#include "bridge/core/log.h"
#include "tests/fuzz/fuzz.h"

#define NEW    "127.45.0.2"
#define LEGACY "127.45.0.3"

static struct {
	struct loop *loop;
	struct config config;
	struct sip_endpoint *ep;
	struct sip_relay *relay;
	char host[32], udp[48], tcp[48];
} world;

/* An address of its own, so that several may run. */
static void make_world(void)
{
	struct config *c = &world.config;
	struct sip_setup setup = { .config = c };
	const char *why = "";
	unsigned pid = (unsigned)getpid();

	if (world.loop != NULL)
		return;
	log_set_level(LOG_ERROR);
	world.loop = loop_create();
	snprintf(world.host, sizeof(world.host), "127.45.%u.%u", 1 + pid / 256 % 255, pid % 256);
	snprintf(world.udp, sizeof(world.udp), "udp:%s:5060", world.host);
	snprintf(world.tcp, sizeof(world.tcp), "tcp:%s:5060", world.host);
	c->sip.listen.item[c->sip.listen.count++] = world.udp;
	c->sip.listen.item[c->sip.listen.count++] = world.tcp;
	c->sip.allow.item[c->sip.allow.count++] = NEW;
	c->sip.allow.item[c->sip.allow.count++] = LEGACY;
	c->sip.new_pool.item[c->sip.new_pool.count++] = "sip:" NEW ":5060;transport=udp";
	c->sip.legacy_pool.item[c->sip.legacy_pool.count++] = "sip:" LEGACY ":5060;transport=tcp";
	c->sip.message_bytes = 65536;
	c->sip.queue_total = 10;
	c->sip.certificate = c->sip.key = c->sip.ca = "";
	c->dialback.secret = "always the same";
	setup.loop = world.loop;
	if (sip_endpoint_create(&setup, &world.ep, &why) != OK) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
	world.relay = sip_relay_create(world.ep);
}

static void count_vias(const sip_t *sip, unsigned *out)
{
	*out = 0;
	for (const sip_via_t *v = sip->sip_via; v != NULL; v = v->v_next)
		++*out;
}

static bool same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The bytes that leave are one request that says the same. */
static void check_onward(const sip_t *before, const struct relay_way *way, const struct relay_onward *out)
{
	su_home_t home[1] = { SU_HOME_INIT(home) };
	char mark[RELAY_MARK_SIZE];
	size_t size = 0;
	const char *text = msg_as_string(home, out->msg, NULL, 0, &size);
	unsigned vias_before, vias_after;
	const sip_t *after;
	msg_t *again;

	CHECK(text != NULL);
	again = msg_make(sip_default_mclass(), MSG_DO_CANONIC, text, (ssize_t)size);
	CHECK(again != NULL);
	after = sip_object(again);
	CHECK(after->sip_request != NULL && (after->sip_flags & MSG_FLG_ERROR) == 0);
	CHECK(strcmp(after->sip_request->rq_method_name, before->sip_request->rq_method_name) == 0);
	CHECK(strcmp(after->sip_call_id->i_id, before->sip_call_id->i_id) == 0);
	CHECK(after->sip_cseq->cs_seq == before->sip_cseq->cs_seq);
	CHECK(same(after->sip_from->a_tag, before->sip_from->a_tag));
	CHECK(same(after->sip_to->a_tag, before->sip_to->a_tag));
	count_vias(before, &vias_before);
	count_vias(after, &vias_after);
	CHECK(vias_before == vias_after);
	CHECK(after->sip_max_forwards != NULL);
	CHECK(before->sip_max_forwards == NULL ||
	      after->sip_max_forwards->mf_count == before->sip_max_forwards->mf_count - 1);
	CHECK(way->in_dialog || after->sip_route == NULL);
	/* A strict router's URI may be ours once more, in the Request-URI; a marked Route of ours is gone. */
	CHECK(after->sip_route == NULL || !sip_uri_has_param(after->sip_route->r_url->url_params, "lr") ||
	      !relay_uri_mark(world.relay, after->sip_route->r_url, mark) ||
	      before->sip_route->r_next != NULL);
	CHECK(strncmp(out->target.uri, "sip:" NEW ":", strlen("sip:" NEW ":")) == 0 ||
	      strncmp(out->target.uri, "sip:" LEGACY ":", strlen("sip:" LEGACY ":")) == 0);
	msg_destroy(again);
	su_home_deinit(home);
}

static void relay(msg_t *msg, bool in_dialog)
{
	const sip_t *sip = sip_object(msg);
	struct relay_way way = { .to = in_dialog ? POOL_NEW : POOL_LEGACY, .in_dialog = in_dialog };
	const tp_name_t near = { .tpn_proto = "udp", .tpn_host = world.host, .tpn_port = "5060" };
	struct relay_onward out;
	enum pool to;

	way.near = &near;
	relay_mark_make(&world.relay->key, sip->sip_call_id->i_id,
			sip->sip_from->a_tag != NULL ? sip->sip_from->a_tag : "", POOL_NEW, POOL_LEGACY,
			way.mark);
	if (relay_make_onward(world.relay, msg, &way, NULL, &out).status != 0)
		return;
	check_onward(sip, &way, &out);
	CHECK(relay_mark_read(&world.relay->key, way.mark, sip->sip_call_id->i_id,
			      sip->sip_from->a_tag != NULL ? sip->sip_from->a_tag : "",
			      sip->sip_to->a_tag != NULL ? sip->sip_to->a_tag : "", &to));
	msg_destroy(out.msg);
}

/* The topmost sofia-sip has compared with the listener's; of the rest only what is written as it was read counts. */
static bool has_plain_vias(const sip_t *sip)
{
	for (const sip_via_t *v = sip->sip_via; v != NULL; v = v->v_next)
		if (v->v_protocol != sip_transport_udp && v->v_protocol != sip_transport_tcp)
			return false;
	return sip->sip_via != NULL;
}

/* The input with our address put in. */
static void put_host(const uint8_t *data, size_t size, struct strbuf *out)
{
	static const char word[] = "our.host";

	for (size_t i = 0; i < size;) {
		if (size - i >= strlen(word) && memcmp(data + i, word, strlen(word)) == 0) {
			strbuf_puts(out, world.host);
			i += strlen(word);
		} else {
			strbuf_putc(out, (char)data[i++]);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf text = { 0 };
	const sip_t *sip;
	msg_t *msg;

	make_world();
	put_host(data, size, &text);
	msg = text.len > 0 ? msg_make(sip_default_mclass(), MSG_DO_CANONIC, text.s, (ssize_t)text.len) : NULL;
	sip = msg != NULL ? sip_object(msg) : NULL;
	if (sip != NULL && sip->sip_request != NULL && (sip->sip_flags & MSG_FLG_ERROR) == 0 &&
	    sip_sanity_check(sip) >= 0 && sip->sip_error == NULL && has_plain_vias(sip) &&
	    strcasecmp(sip->sip_request->rq_version, sip_version_2_0) == 0) {
		relay(msg, false);
		relay(msg, true);
	}
	msg_destroy(msg);
	strbuf_free(&text);
	return 0;
}
